#!/usr/bin/env bash
# Installs into a temporary place, then uses what lies there as a stranger would: the program, pkg-config, CMake.
#   tests/install.sh BUILD_FOLDER SOURCE_FOLDER
set -euo pipefail
build=$1 source=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset LD_LIBRARY_PATH DYLD_LIBRARY_PATH

say() { printf '== %s\n' "$*"; }
die() { printf 'install test: %s\n' "$*" >&2; exit 1; }

say "cmake --install"
DESTDIR=$work/dest cmake --install "$build" --prefix /opt/akiembed >"$work/log" 2>&1 || { cat "$work/log"; die "cmake --install failed"; }
# Installed below DESTDIR and used from there: paths that are not relative to the files themselves show up here.
prefix=$work/dest/opt/akiembed
[ "$(ls "$work/dest")" = opt ] || die "files outside the prefix: $(ls "$work/dest")"
libdir=$(dirname "$(find "$prefix" -name 'libakiembed.so' -o -name 'libakiembed.dylib' | head -n 1)")
for file in "$prefix/include/akiembed.h" "$libdir/libakiembed.so.0" "$libdir/libakiembed.a" "$libdir/pkgconfig/akiembed.pc" "$libdir/cmake/akiembed/akiembedConfig.cmake" \
    "$prefix/share/doc/akiembed/LICENSE" "$prefix/share/doc/akiembed/docs/bench-minilm.svg" "$prefix/share/doc/akiembed/examples/embed.c"; do
    [ -e "$file" ] || die "missing: ${file#"$prefix"/}"
done
[ "$(find "$prefix/include" -type f | wc -l)" = 1 ] || die "more than one header is installed"
! grep -rlI -e "$source" -e "$build" "$prefix" || die "the files above name the source or the build folder"
dynamic=$(readelf -d "$libdir/libakiembed.so")
grep -q 'SONAME.*\[libakiembed\.so\.0\]' <<<"$dynamic" || die "soname is not libakiembed.so.0"
# What installed documents link is there.
(cd "$prefix/share/doc/akiembed" && grep -roE --include='*.md' '\]\([^)#: ]+[)#]' . | while IFS=: read -r page link; do
    link=${link#](}
    [ -e "$(dirname "$page")/${link%[)#]}" ] || printf '%s links %s, which is not installed\n' "$page" "${link%[)#]}"
done) >"$work/log"
[ ! -s "$work/log" ] || { cat "$work/log"; die "documents link what is not there"; }
# The fetched ONNX Runtime comes along and is the one that is found.
if [ -d "$libdir/akiembed" ]; then
    loaded=$(ldd "$libdir/libakiembed.so" | sed -n 's/.*libonnxruntime\.so\.1 => \([^ ]*\).*/\1/p')
    [ "$(realpath "$loaded")" = "$(realpath "$libdir/akiembed/libonnxruntime.so.1")" ] || die "libakiembed.so loads '$loaded', not the ONNX Runtime beside it"
fi
if grep -E 'R(UN)?PATH' <<<"$dynamic" | grep -v '\[$ORIGIN'; then die "a run path that is not relative"; fi

cat >"$work/use.c" <<'C'
#include <akiembed.h>
#include <stdio.h>
#include <string.h>
int main(void)
{
    aki_model *model = NULL;
    aki_error error;
    const aki_device *devices;
    size_t count = 0;
    if (aki_model_open("/nonexistent", NULL, &model, &error) != AKI_E_NOT_FOUND || model) return 1;
    if (!strstr(error.message, "/nonexistent")) return 2;
    /* That the program runs at all shows that ONNX Runtime was found: the library needs it at load time. */
    if (aki_devices(&devices, &count, &error) != AKI_OK || count < 1) { fprintf(stderr, "%s\n", error.message); return 3; }
    printf("%s\n", aki_version());
    return 0;
}
C
version=$(sed -n 's/^project(akiembed VERSION \([0-9.]*\).*/\1/p' "$source/CMakeLists.txt")

say "C99 and C++17, no warnings"
cc -std=c99 -pedantic -Wall -Wextra -Werror -I"$prefix/include" -fsyntax-only "$work/use.c"
cp "$work/use.c" "$work/use.cpp"
c++ -std=c++17 -pedantic -Wall -Wextra -Werror -I"$prefix/include" -fsyntax-only "$work/use.cpp"

say "pkg-config"
export PKG_CONFIG_PATH=$libdir/pkgconfig
[ "$(pkg-config --modversion akiembed)" = "$version" ] || die "pkg-config says $(pkg-config --modversion akiembed), not $version"
cc "$work/use.c" $(pkg-config --cflags --libs akiembed) -Wl,-rpath,"$libdir" -o "$work/use"
[ "$("$work/use")" = "$version" ] || die "the program built by pkg-config does not run"

say "pkg-config --static: the archive in the program, ONNX Runtime beside it"
cc "$work/use.c" -Wl,-Bstatic $(pkg-config --static --cflags --libs akiembed) -o "$work/use_static"
! ldd "$work/use_static" | grep -E 'libakiembed|not found' || die "the program is not linked with the archive"
[ "$("$work/use_static")" = "$version" ] || die "the program built by pkg-config --static does not run"

say "find_package"
mkdir "$work/project"
cp "$work/use.c" "$work/project/"
cat >"$work/project/CMakeLists.txt" <<CMAKE
cmake_minimum_required(VERSION 3.21)
project(use C)
find_package(akiembed ${version%.*} REQUIRED)
add_executable(use use.c)
target_link_libraries(use PRIVATE akiembed::akiembed)
add_executable(use_static use.c)
target_link_libraries(use_static PRIVATE akiembed::akiembed_static)
CMAKE
cmake -S "$work/project" -B "$work/project/build" -G Ninja -DCMAKE_PREFIX_PATH="$prefix" >"$work/log" 2>&1 || { cat "$work/log"; die "find_package failed"; }
cmake --build "$work/project/build" >"$work/log" 2>&1 || { cat "$work/log"; die "the CMake project does not build"; }
for program in use use_static; do
    [ "$("$work/project/build/$program")" = "$version" ] || die "$program, built by CMake, does not run"
done
! ldd "$work/project/build/use_static" | grep libakiembed || die "akiembed::akiembed_static is not the archive"

if [ -e "$build/akiembed" ]; then
    say "the program"
    case "$("$prefix/bin/akiembed" --version)" in *"$version"*) ;; *) die "akiembed --version: $("$prefix/bin/akiembed" --version)" ;; esac
    for file in share/man/man1/akiembed.1 share/bash-completion/completions/akiembed share/zsh/site-functions/_akiembed \
        share/fish/vendor_completions.d/akiembed.fish; do
        [ -s "$prefix/$file" ] || die "missing or empty: $file"
    done
    if "$prefix/bin/akiembed" serve --help >/dev/null 2>&1; then
        grep -qx "ExecStart=/opt/akiembed/bin/akiembed serve" "$prefix/lib/systemd/system/akiembed.service" || die "no unit, or one of another path"
    fi
    bash -n "$prefix/share/bash-completion/completions/akiembed"
fi
say "scripts/uninstall"
cp "$build/install_manifest.txt" "$work/"
touch "$prefix/share/doc/akiembed/mine"
DESTDIR=$work/dest "$source/scripts/uninstall" "$work"
[ "$(find "$work/dest" ! -type d)" = "$prefix/share/doc/akiembed/mine" ] || die "what is left: $(find "$work/dest" ! -type d)"
[ "$(find "$work/dest" -path '*/lib*/*akiembed*')" = '' ] || die "folders are left: $(find "$work/dest" -path '*/lib*/*akiembed*')"
[ ! -e "$work/install_manifest.txt" ] || die "the list of what was installed is left"
say "done"
