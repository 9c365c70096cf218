# Works, and says what is acknowledged, until the power is cut.
exec 3>"$(ls /dev/vport*)"
boot=$(cut -c1-8 /proc/sys/kernel/random/boot_id)
for number in $(seq 1000); do
  echo "a line" >>/var/log/work.log
  what=review-$boot-$number
  as_daemon $bin/provenanced review --config $etc/provenance.toml --what "$what" --outcome seen --who claims
  echo "review $what ;" >&3
  # A record is written when the one before it is on the disk.
  echo "records $(($(records | wc -l) - 1)) ;" >&3
done
