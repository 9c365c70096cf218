# The authority issues, its list is renewed, and who has the token reports over the socket.
socket=/run/msp-provenance-api/api.sock
wait_until 20 test -S $socket
[ "$(stat -c %a:%U:%G $socket)" = 660:msp-provenance:msp-provenance ]
ask() { # as USER, METHOD, PATH, BODY, TOKEN
  setpriv --reuid="$1" --regid="$(id -gn "$1")" --clear-groups perl -MIO::Socket::UNIX -e '
    my ($socket, $method, $path, $body, $token) = @ARGV;
    my $peer = IO::Socket::UNIX->new(Peer => $socket) or die "no connection: $!\n";
    print $peer "$method $path HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer $token\r\n",
      "Connection: close\r\nContent-Length: ", length($body), "\r\n\r\n$body";
    $peer->flush;
    print while <$peer>;
  ' $socket "$2" "$3" "$4" "$5"
}
# said PATTERN ASK…
said() { local pattern=$1; shift; ask "$@" >/run/claims/answer; cat /run/claims/answer; grep -q "$pattern" /run/claims/answer; }
token=$(cat $etc/api-token)
body='{"package":"@acme/agent","version":"1.0.0","who":"ci"}'
said '^HTTP/1.1 401' msp-provenance POST /registry/api/packages/register "$body" wrong
said '^HTTP/1.1 201' msp-provenance POST /registry/api/packages/register "$body" "$token"
said '"status":"registered"' msp-provenance GET /registry/packages/@acme/agent/1.0.0 '' ''
not ask nobody GET /registry/packages '' ''
key=$(sed ':a;N;$!ba;s/\n/\\n/g' $etc/authority.pub)
body="{\"subject\":\"appliance\",\"name\":\"clinic-001/claims\",\"public_key\":\"$key\\n\",\"approved_by\":\"anna\",\"place\":\"Ulm\"}"
said '^HTTP/1.1 201' msp-provenance POST /v1/certificates/issue "$body" "$token"
systemctl start provenance-crl
[ "$(property provenance-crl Result)" = success ]
ca=$(ls $state/certificates/ca-*.pem)
for file in $state/certificates/????????????????????????????????.pem; do
  $bin/provctl verify-cert "$file" --ca "$ca" --crl $state/certificates/crl.pem --state $state --policy $etc/policy.toml
done
verify --policy $etc/policy.toml
