#!/usr/bin/env bash
# Install the commands of the system that a test cluster runs, where they are missing and this may be done.
set -euo pipefail

# Command and Debian package.
NEEDED=(ip=iproute2 nsenter=util-linux unshare=util-linux nft=nftables)

missing=()
for pair in "${NEEDED[@]}"; do
  command -v "${pair%=*}" >/dev/null || [ -x "/usr/sbin/${pair%=*}" ] || missing+=("${pair#*=}")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "cluster: missing on this machine: ${missing[*]}. Install them (Debian and Ubuntu: apt-get install ${missing[*]})." >&2
  exit 1
fi
echo "cluster: installing ${missing[*]} by apt-get"
export DEBIAN_FRONTEND=noninteractive
output=$( { apt-get -qq update && apt-get -qq install --yes --no-install-recommends "${missing[@]}"; } 2>&1) ||
  { printf '%s\n' "$output" >&2; exit 1; }
