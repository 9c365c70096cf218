# Stopped in order, the whole verifies, all of it signed.
systemctl stop provenanced
[ "$(property provenanced Result)" = success ]
records | tail -n 1 | grep '"kind":"stop"'
verify
