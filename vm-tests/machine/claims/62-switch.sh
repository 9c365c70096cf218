# A switch to another system is listed, and who signed each path of it is on record.
nix() {
  HOME=/root NIX_STATE_DIR=/nix/var/nix NIX_CONF_DIR=/run/claims /opt/nix/lib/ld.so --library-path /opt/nix/lib --argv0 nix \
    /opt/nix/lib/nix --extra-experimental-features nix-command --option substituters '' --option build-users-group '' \
    --option sandbox false --option build-hook '' "$@"
}
# system NAME: one that is built here, of two paths.
build() {
  nix build --no-link --print-out-paths --impure --expr "
    let build = name: text: derivation {
      inherit name text; system = builtins.currentSystem; builder = \"/bin/sh\"; args = [ \"-c\" \"echo \$text >\$out\" ];
    }; in build \"$1\" \"\${build \"part-$1\" \"a part\"}\""
}
# What root makes there, everybody reads, as in a real store.
umask 022
# switch SYSTEM: as NixOS' own program does it, which starts the active targets again.
switch() {
  ln -sfn "$1" /run/next-system
  mv -T /run/next-system /run/current-system
  systemctl daemon-reload
  systemctl start multi-user.target
}
systemctl enable provenance-sbom.service provenance-verify-store.service
nix key generate-secret --key-name test >/run/claims/nix.sec
nix key convert-secret-to-public </run/claims/nix.sec >$etc/store-keys
signed=$(build system-1.0)
nix store sign --recursive --key-file /run/claims/nix.sec "$signed"
switch "$signed"
for unit in provenance-sbom provenance-verify-store provenance-verify-store-record; do wait_until 20 ran $unit; done
ls -l $state/sbom
for file in $state/sbom/*; do $bin/provctl sbom validate "$file"; grep -F part-system-1.0 "$file" >/dev/null; done
jq -e '.verdict == "verified"' $state/verify-store.json
# One that nobody signed fails its unit, and is on record all the same.
bundles=$(ls $state/bundles | wc -l)
unsigned=$(build system-2.0)
switch "$unsigned"
wait_until 20 eval '[ "$(property provenance-verify-store Result)" = exit-code ] && [ "$(property provenance-verify-store ActiveState)" = failed ]'
wait_until 20 eval "[ \$(ls $state/bundles | wc -l) = $((bundles + 1)) ]"
wait_until 20 ran provenance-verify-store-record
bundle=$(ls -d $state/bundles/* | tail -n 1)
grep -rlF "$unsigned" "$bundle"
$bin/provctl verify "$bundle" --policy $etc/policy.toml
wait_until 20 eval "grep -F part-system-2.0 $state/sbom/*.spdx.json"
# Signed after all, it passes, also by the weekly timer's way.
nix store sign --recursive --key-file /run/claims/nix.sec "$unsigned"
systemctl start provenance-verify-store
