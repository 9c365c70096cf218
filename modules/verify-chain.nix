# provenance-verify-chain: reads the watched logs again and compares. It writes
# nothing, and holds no key.
{ config, lib, ... }:
let
  common = import ./lib/common.nix { inherit config lib; };
  inherit (common) cfg;
in
{
  options.services.msp-provenance.verifyChain.schedule = lib.mkOption {
    type = lib.types.str;
    default = "daily";
    description = "When the watched logs are read again and compared (systemd.time(7)).";
  };

  config = lib.mkIf cfg.enable {
    systemd.services.provenance-verify-chain = {
      description = "Read the watched logs again and compare them with the chain";
      documentation = [ "man:provctl-verify-chain(1)" ];
      after = [ "provenanced.service" ];
      serviceConfig =
        common.oneshot {
          relax = [ "readLogs" ];
          exec = "${common.provctl} verify-chain --logs --state ${common.stateDir}";
        }
        # Without a key to trust no verdict is better than inconclusive, by design.
        // lib.optionalAttrs (cfg.policy.keys == [ ]) { SuccessExitStatus = 2; };
    };
    systemd.timers.provenance-verify-chain = {
      description = "Read the watched logs again daily";
      wantedBy = [ "timers.target" ];
      timerConfig = common.timer cfg.verifyChain.schedule;
    };
  };
}
