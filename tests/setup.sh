#!/usr/bin/env bash
# scripts/setup on systems that have nothing but a package manager, which is a stand-in here: what it says to install.
#   tests/setup.sh SOURCE_FOLDER
set -euo pipefail
source=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0
while IFS='|' read -r manager line; do
    mkdir "$work/$manager"
    for tool in bash env awk sed sort head uname id; do ln -s "$(command -v $tool)" "$work/$manager/"; done
    [ "$manager" = none ] || { printf '#!/bin/sh\nexit 1\n' >"$work/$manager/$manager" && chmod +x "$work/$manager/$manager"; }
    said=$(PATH=$work/$manager "$source/scripts/setup" build test 2>&1) && { echo "$manager: no failure"; bad=1; }
    case $said in *"setup: $line"*) ;; *) printf '%s: not "%s", but: %s\n' "$manager" "$line" "$said"; bad=1 ;; esac
done <<'LINES'
dnf|run as root:  dnf install gcc glibc-devel cmake make ninja-build pkgconf-pkg-config pcre2-devel libmicrohttpd-devel libcurl-devel openssl-devel libcmocka-devel python3 gcc-c++
pacman|run as root:  pacman -S --needed gcc cmake make ninja pkgconf pcre2 libmicrohttpd curl openssl cmocka python
apk|run as root:  apk add gcc musl-dev cmake make samurai pkgconf pcre2-dev libmicrohttpd-dev curl-dev openssl-dev cmocka-dev python3 g++
zypper|run as root:  zypper install gcc glibc-devel cmake make ninja pkg-config pcre2-devel libmicrohttpd-devel libcurl-devel libopenssl-devel libcmocka-devel python3 gcc-c++
brew|brew install cmake make ninja pkgconf pcre2 libmicrohttpd curl openssl cmocka python3
none|install these with the package manager of this system, then run the command again
LINES
exit $bad
