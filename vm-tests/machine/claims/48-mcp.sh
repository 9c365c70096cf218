# Members of the group ask over HTTP and get the verdict; others do not; it comes back.
systemctl start provenance-mcp-http
socket=/run/msp-provenance-mcp/http.sock
wait_until 10 test -S $socket
[ "$(stat -c %a:%U:%G $socket)" = 660:msp-provenance:msp-provenance ]
ask() { # as USER, an address of IO::Socket::UNIX, a tool
  setpriv --reuid="$1" --regid="$(id -gn "$1")" --clear-groups perl -MIO::Socket::UNIX -e '
    my ($path, $tool) = @ARGV;
    my $body = qq({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"$tool","arguments":{}}});
    my $socket = IO::Socket::UNIX->new(Peer => $path) or die "no connection: $!\n";
    print $socket "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n",
      "Accept: application/json, text/event-stream\r\nConnection: close\r\nContent-Length: ",
      length($body), "\r\n\r\n$body";
    $socket->flush;
    print while <$socket>;
  ' "$2" "$3"
}
said() { ask msp-provenance $socket "$1" >/tmp/mcp-answer; cat /tmp/mcp-answer; grep -q "$2" /tmp/mcp-answer; }
said verify_chain '"verdict":"verified"'
# The sandbox reaches the time sources that the daemon asks.
said check_time '"verdict":"agreed"'
not ask nobody $socket list_alerts
systemctl kill --signal=KILL provenance-mcp-http
sleep 1
wait_until 15 test -S $socket
wait_until 10 said list_alerts '"verified":false'
systemctl stop provenance-mcp-http
[ "$(property provenance-mcp-http Result)" = success ]
[ ! -e $socket ]
