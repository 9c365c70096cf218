# Ready within two seconds of its start.
systemctl enable --now provenanced.service provenance-health.timer provenance-verify-chain.timer
begun=$(property provenanced ExecMainStartTimestampMonotonic)
ready=$(property provenanced ActiveEnterTimestampMonotonic)
echo "$((ready - begun)) us"
[ $((ready - begun)) -lt 2000000 ]
