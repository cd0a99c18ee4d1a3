#!/usr/bin/env bash
# Puts `syncline` into the PATH of the job: one that is there already, or a release, whose checksum must be right.
#
# Reads INPUT_VERSION, ACTION_REPOSITORY, ACTION_REF, GITHUB_SERVER_URL, GITHUB_PATH, RUNNER_TEMP, and GH_TOKEN for the
# attestation where the `gh` command is there.
set -euo pipefail

fail() {
  printf '::error title=syncline::%s\n' "$1"
  exit 1
}

version=${INPUT_VERSION#v}
if [ -z "$version" ] && command -v syncline >/dev/null; then
  syncline --version
  exit 0
fi
if [ -z "$version" ]; then
  # The action of a release is used by its tag, or by its commit with `version` beside it.
  case "${ACTION_REF:-}" in
    v[0-9]*.[0-9]*.[0-9]*) version=${ACTION_REF#v} ;;
    *) fail 'there is no syncline in the PATH, and it cannot be seen which release is meant: name it by "version"' ;;
  esac
fi
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.]+)?$ ]] || fail 'the version is written like 0.1.0'
[ -n "${ACTION_REPOSITORY:-}" ] || fail 'the action is used from a local path: put syncline into the PATH beforehand'

case "$(uname -s)-$(uname -m)" in
  Linux-x86_64) target=x86_64-unknown-linux-musl ;;
  Linux-aarch64) target=aarch64-unknown-linux-musl ;;
  *) fail "there is no release for $(uname -s) on $(uname -m): build it with cargo and put it into the PATH" ;;
esac

folder=$(mktemp -d "$RUNNER_TEMP/syncline-XXXXXX")
archive=syncline-$version-$target.tar.gz
from=$GITHUB_SERVER_URL/$ACTION_REPOSITORY/releases/download/v$version
cd "$folder"
for file in "$archive" SHA256SUMS; do
  curl --fail --silent --show-error --location --proto '=https' --retry 3 --output "$file" "$from/$file" ||
    fail "there is no $file in release v$version of $ACTION_REPOSITORY"
done
grep -F "  $archive" SHA256SUMS | sha256sum --check --strict - || fail "the checksum of $archive is not that of the release"
if command -v gh >/dev/null && [ "$GITHUB_SERVER_URL" = https://github.com ]; then
  gh attestation verify "$archive" --repo "$ACTION_REPOSITORY" || fail "$archive was not built by the workflow of $ACTION_REPOSITORY"
fi
tar -xzf "$archive" --strip-components=1
rm "$archive" SHA256SUMS
./syncline --version
printf '%s\n' "$folder" >> "$GITHUB_PATH"
