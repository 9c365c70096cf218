# A first bundle and a first packet, made by hand as docs/nixos.md tells, verify.
as_daemon $bin/provenanced bundle --config $etc/provenance.toml --reason 'first bundle'
$bin/provctl verify "$(ls -d $state/bundles/* | tail -n 1)" --policy $etc/policy.toml
as_daemon $bin/provenanced packet --config $etc/provenance.toml --from "$(date -u +%F)" --to "$(date -u -d tomorrow +%F)" --out first.zip
$bin/provctl verify $state/first.zip --policy $etc/policy.toml
# Another key's policy does not.
sed 's/MCowBQYDK2VwAyEA7ft/MCowBQYDK2VwAyEA7fs/' $etc/policy.toml >/run/claims/policy.toml
not $bin/provctl verify $state/first.zip --policy /run/claims/policy.toml
