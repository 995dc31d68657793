/* Unit verify_texts: texts to measure fidelity with: many languages and scripts, short and long, and what is no language: code, numbers, signs.
 * Two themes have eleven English texts each, and one a sentence in most languages, so that the ten nearest of many texts are of one theme
 * and not a choice among strangers, which any rounding may turn. See verify_texts.h. */
#include "util/verify_texts.h"

#include <string.h>

const char *const aki__verify_texts[] = {
    /* English, from a word to a paragraph */
    "cat",
    "The cat sleeps on the warm windowsill.",
    "A kitten chased a ball of wool under the sofa and would not come out again.",
    "How do I reset the password of my account?",
    "Click on \"Forgot password\" on the sign-in page; we then send a link to your e-mail address that is valid for an hour.",
    "I forgot my password and cannot sign in any more.",
    "Your password must have at least twelve characters, among them a digit.",
    "Why was my account locked after three wrong passwords?",
    "For your security you were signed out; please sign in again with your password.",
    "The link in the e-mail to choose a new password has expired.",
    "Somebody has tried to sign in to your account from a new device.",
    "Turn on two-factor sign-in to protect your account even if the password is stolen.",
    "Where can I change the e-mail address of my user account?",
    "A password manager remembers a different password for each account.",
    "The invoice is due within thirty days of delivery.",
    "Bread needs flour, water, salt and time.",
    "Knead the dough for ten minutes, let it rise in a warm place until it has doubled in size, shape it into a loaf, and bake it in a very "
    "hot oven with a little steam for the first quarter of an hour, so that the crust stays soft long enough to open.",
    "My sourdough does not rise; is the starter too cold?",
    "Rye bread keeps fresh for a week, wheat bread for two days.",
    "Slash the top of the loaf with a sharp blade before it goes into the oven.",
    "Strong flour has more gluten, which makes the dough elastic.",
    "A pinch of sugar wakes the yeast, too much of it slows it down.",
    "The baker takes the first loaves out of the oven at four in the morning.",
    "Cover the dough with a damp cloth while it rises.",
    "Bake the rolls for eighteen minutes until the crust is golden.",
    "Day-old bread makes the best toast.",
    "Trains to the coast leave every twenty minutes from platform four.",
    "The orchestra rehearsed the slow movement until midnight.",
    "A violin's sound comes from the string, but its voice from the wood: the thickness of the belly, the arching of the back, the varnish, "
    "and the hundred years for which somebody has played it. Two instruments from one workshop, cut from one tree, never sound alike, and "
    "no measurement yet made can tell a listener beforehand which of the two will be preferred.",
    "Vaccines teach the immune system to recognise a virus before it arrives.",
    "The patient complains of a headache, fever and a stiff neck since yesterday evening.",
    "Rain is expected in the north; the south stays dry and unusually warm for the season.",
    "Quarterly revenue rose by 12.4 % to 3.1 billion, while operating costs fell slightly.",
    "To be honest, I expected more: the battery lasts half a day, the screen scratches easily, and support never answered my mails.",
    "Best purchase of the year. It simply works!",
    "The committee adjourned without a decision, and will meet again on the second Tuesday of March to hear the remaining witnesses, whose "
    "statements, as the chair remarked with some weariness, had been announced as brief.",
    "Photosynthesis turns light, water and carbon dioxide into sugar and oxygen.",
    "Stars much heavier than the sun end as supernovae and leave a neutron star or a black hole behind.",

    /* German, French, Spanish, Portuguese, Italian, Dutch, Swedish, Polish, Czech, Finnish, Hungarian, Turkish, Vietnamese, Indonesian, Swahili */
    "Die Katze schläft auf der warmen Fensterbank.",
    "Bitte überweisen Sie den Rechnungsbetrag innerhalb von dreißig Tagen auf das unten genannte Konto.",
    "Donaudampfschifffahrtsgesellschaft",
    "Le chat dort sur le rebord de la fenêtre.",
    "Où se trouve la gare la plus proche, s'il vous plaît ? Mon train part dans un quart d'heure.",
    "El gato duerme en el alféizar de la ventana.",
    "¿Cómo puedo cambiar la contraseña de mi cuenta si ya no tengo acceso a mi correo?",
    "A padaria da esquina abre às seis da manhã e vende o melhor pão do bairro.",
    "L'orchestra ha provato il secondo movimento fino a mezzanotte.",
    "De trein naar zee vertrekt elke twintig minuten van spoor vier.",
    "Katten sover på den varma fönsterbrädan.",
    "Kot śpi na ciepłym parapecie, a pies szczeka na listonosza.",
    "Příští vlak do Brna odjíždí ze třetího nástupiště.",
    "Junat rannikolle lähtevät kahdenkymmenen minuutin välein.",
    "A macska a meleg ablakpárkányon alszik.",
    "Kedi sıcak pencere pervazında uyuyor.",
    "Con mèo đang ngủ trên bậu cửa sổ ấm áp.",
    "Kucing itu tidur di ambang jendela yang hangat.",
    "Paka analala kwenye kizingiti cha dirisha.",

    /* other scripts: Greek, Cyrillic (Russian, Ukrainian), Hebrew, Arabic, Persian, Hindi, Bengali, Tamil, Thai, Georgian, Armenian, Amharic,
     * Chinese (both), Japanese, Korean */
    "Η γάτα κοιμάται στο ζεστό περβάζι του παραθύρου.",
    "Кошка спит на тёплом подоконнике.",
    "Как восстановить пароль, если я больше не могу войти в свою почту?",
    "Потяг до моря відправляється кожні двадцять хвилин.",
    "החתול ישן על אדן החלון החם.",
    "القطة تنام على حافة النافذة الدافئة.",
    "گربه روی لبهٔ گرم پنجره خوابیده است.",
    "बिल्ली गरम खिड़की पर सो रही है।",
    "বিড়ালটি জানালার ধারে ঘুমাচ্ছে।",
    "பூனை ஜன்னலில் தூங்குகிறது.",
    "แมวนอนอยู่บนขอบหน้าต่างที่อบอุ่น",
    "კატას თბილ ფანჯრის რაფაზე სძინავს.",
    "Կատուն քնած է տաք պատուհանագոգին։",
    "ድመቷ በመስኮቱ ላይ ተኝታለች።",
    "猫睡在温暖的窗台上。",
    "如果我无法再登录邮箱,应该怎样重新设置账户的密码?",
    "開往海邊的火車每二十分鐘從四號月台發車。",
    "猫は暖かい窓辺で眠っている。",
    "パスワードを忘れた場合は、ログイン画面の「パスワードを再設定」を押してください。",
    "고양이가 따뜻한 창가에서 자고 있다.",

    /* no language */
    "int main(void) { for (int i = 0; i < 10; i++) printf(\"%d\\n\", i * i); return 0; }",
    "SELECT name, COUNT(*) FROM orders WHERE total > 100.0 GROUP BY name ORDER BY 2 DESC;",
    "3.14159 2.71828 1.41421 0.57722 299792458 6.02214076e23 -273.15 1,000,000 0x7FFF 192.168.0.1",
    "https://example.org/search?q=warm+windowsill&lang=en#results",
    "🐈💤🪟☀️ 👩‍🚀🚀🌍 👍🏽 🇫🇮",
    "  \t spaces,   tabs \t and … “quotes” — dashes;  ½ ﬁ Ⅷ ① A\xCC\x8A e\xCC\x81 (decomposed)  ",
    "",
};
const size_t aki__verify_text_count = sizeof aki__verify_texts / sizeof *aki__verify_texts;

bool aki__is_unknown_piece(const char *piece, size_t size)
{
    static const char *const names[] = { "[UNK]", "<unk>" };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (piece && size == strlen(names[i]) && !memcmp(piece, names[i], size))
            return true;
    return false;
}
