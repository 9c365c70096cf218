# A switch to another build of the package goes on with the same chain: stopped
# and started in order, nothing is missing, and the new settings are on record.
{ appliance }:
{
  nodes.machine =
    {
      config,
      lib,
      pkgs,
      ...
    }:
    let
      old = config.services.msp-provenance.package;
    in
    {
      imports = [ appliance ];
      specialisation.next.configuration.services.msp-provenance = {
        # Another store path with the same programs: what an upgrade looks like.
        package = lib.mkForce (
          pkgs.symlinkJoin {
            name = "msp-provenance-next";
            paths = [ old ];
            passthru = { inherit (old) commands; };
          }
        );
        settings.time.offset_alarm_ms = 90;
      };
    };
  testScript = ''
    machine.wait_for_unit("provenanced.service")
    machine.sleep(3)
    old = machine.succeed("systemctl show -P MainPID provenanced").strip()
    machine.succeed("/run/current-system/specialisation/next/bin/switch-to-configuration test")
    machine.wait_for_unit("provenanced.service")
    assert machine.succeed("systemctl show -P MainPID provenanced").strip() != old
    machine.sleep(3)
    machine.succeed("systemctl stop provenanced")
    said = machine.succeed(
        "provctl verify-chain --state /var/lib/msp-provenance --policy /root/policy.toml"
    )
    assert "chain.gap" not in said, said
    records = machine.succeed("cat $(find /var/lib/msp-provenance/chain -name '*.jsonl' | sort)")
    assert records.count('"kind":"start"') == 2 and records.count('"kind":"stop"') == 2, records
  '';
}
