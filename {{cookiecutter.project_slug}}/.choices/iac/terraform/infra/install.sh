#!/bin/sh
# Installs Terraform on a Linux CI machine from HashiCorp's release, and checks its checksum.
set -eu

VERSION=1.11.4
case "$(uname -m)" in
  x86_64) PLATFORM=linux_amd64 SUM=1ce994251c00281d6845f0f268637ba50c0005657eb3cf096b92f753b42ef4dc ;;
  aarch64) PLATFORM=linux_arm64 SUM=a43d1d0da9b9bab214a8305a39db0e40869572594ccf50c416a7756499143633 ;;
  *) echo "infra/install.sh has no Terraform for $(uname -m): see 'make doctor'." >&2; exit 1 ;;
esac
FILE=terraform_${VERSION}_$PLATFORM.zip

cd "$(mktemp -d)"
curl --fail --silent --show-error --location --output "$FILE" \
  "https://releases.hashicorp.com/terraform/$VERSION/$FILE"
echo "$SUM  $FILE" | sha256sum --check --quiet -
python3 -m zipfile -e "$FILE" .
install terraform "${INTO:-/usr/local/bin}/terraform"
