# Stopped in order, the whole verifies, all of it signed.
systemctl stop provenance-aggregate provenanced
for unit in provenance-aggregate provenanced; do [ "$(property $unit Result)" = success ]; done
records | tail -n 1 | grep '"kind":"stop"'
verify
