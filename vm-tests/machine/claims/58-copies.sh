# The timer's unit copies all evidence, and the copies verify without the appliance.
[ "$(stat -c %a:%U /srv/worm)" = 750:msp-provenance ]
# As if the machine had been off for a day; without the random delay.
systemctl stop provenance-store.timer
printf '[Timer]\nRandomizedDelaySec=0\n' | systemctl edit --runtime --stdin provenance-store.timer
touch -d '1 day ago' /var/lib/systemd/timers/stamp-provenance-store.timer
systemctl start provenance-store.timer
wait_until 20 ran provenance-store
registry store | grep .
copies=$(ls -d /srv/worm/clinic-001/claims/*)
$bin/provctl verify "$copies" --policy $etc/policy.toml
# Nobody may write what lies there, and a changed copy is found.
not eval 'find /srv/worm -type f -perm /0222 | grep .'
file=$(find "$copies" -name 'statement.json' | head -n 1)
cp -r "$copies" /run/claims/copies
chmod u+w "/run/claims/copies/${file#"$copies"/}"
sed -i 's/"client":"clinic/"client":"clinix/' "/run/claims/copies/${file#"$copies"/}"
not $bin/provctl verify /run/claims/copies --policy $etc/policy.toml
