// Example in C++17: how alike are texts? Prints the cosine of each text with the first.
//
//   c++ -std=c++17 embed.cpp $(pkg-config --cflags --libs akiembed) -o embed
//   ./embed MODEL_FOLDER "a query" "a text" "another text"
#include <akiembed.h>

#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

void check(aki_status status, const aki_error &error)
{
    if (status != AKI_OK)
        throw std::runtime_error(std::string(aki_status_name(status)) + ": " + error.message);
}

class Model {
public:
    explicit Model(const std::string &folder)
    {
        aki_error error;
        aki_model *opened = nullptr;
        check(aki_model_open(folder.c_str(), nullptr, &opened, &error), error);
        model.reset(opened);
        aki_model_info info;
        aki_model_info_init(&info, sizeof info);
        check(aki_model_get_info(opened, &info, &error), error);
        dim = static_cast<std::size_t>(info.dim);
    }

    // One vector after the other, each of dim elements.
    std::vector<float> embed(const std::vector<std::string> &texts) const
    {
        std::vector<const char *> pointers;
        std::vector<std::size_t> sizes;
        for (const std::string &text : texts) {
            pointers.push_back(text.data());
            sizes.push_back(text.size());
        }
        std::vector<float> vectors(texts.size() * dim);
        aki_error error;
        check(aki_embed(model.get(), pointers.data(), sizes.data(), texts.size(), nullptr, vectors.data(),
                        vectors.size() * sizeof(float), nullptr, nullptr, &error), error);
        return vectors;
    }

    std::size_t dim = 0;

private:
    struct Close {
        void operator()(aki_model *m) const { aki_model_close(m); }
    };
    std::unique_ptr<aki_model, Close> model;
};

} // namespace

int main(int argc, char **argv)
{
    if (argc < 4) {
        std::fprintf(stderr, "usage: %s MODEL_FOLDER QUERY TEXT...\n", argv[0]);
        return 1;
    }
    try {
        const Model model(argv[1]);
        const std::vector<std::string> texts(argv + 2, argv + argc);
        const std::vector<float> vectors = model.embed(texts);
        std::vector<float> cosines(texts.size());
        aki_similarity(vectors.data(), 1, vectors.data(), texts.size(), model.dim, cosines.data());
        for (std::size_t i = 1; i < texts.size(); i++)
            std::printf("%.4f  %s\n", cosines[i], texts[i].c_str());
    } catch (const std::exception &e) {
        std::fprintf(stderr, "%s\n", e.what());
        return 1;
    }
}
