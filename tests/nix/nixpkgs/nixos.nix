# The options of NixOS that our modules set, and units as text.
{ lib, modules, pkgs }:
let
  b = builtins;
  inherit (lib) mkOption types;
  option =
    type: default:
    mkOption {
      inherit type default;
      description = "A stand-in for the option of NixOS.";
    };
  set = option (types.attrsOf types.anything) { };
  list = option (types.listOf types.anything) [ ];
  nixos.options = {
    assertions = list;
    warnings = list;
    environment = {
      etc = set;
      systemPackages = list;
    };
    networking.firewall.allowedTCPPorts = option (types.listOf types.port) [ ];
    nix.settings = set;
    nixpkgs.overlays = list;
    security = {
      audit = set;
      auditd = set;
    };
    services = {
      bitcoind = set;
      gpsd = set;
      chrony = {
        enable = option types.bool false;
        enableNTS = option types.bool false;
        servers = option (types.listOf types.str) [ ];
        extraConfig = option types.lines "";
      };
    };
    systemd = {
      services = set;
      timers = set;
      sockets = set;
      tmpfiles.rules = list;
    };
    users = {
      users = set;
      groups = set;
    };
  };
  evaluated = lib.evalModules {
    modules = [ nixos ] ++ modules;
    specialArgs = { inherit pkgs; };
  };

  text =
    value:
    if value == true then
      "true"
    else if value == false then
      "false"
    else
      toString value;
  section =
    name: values:
    let
      line = key: value: map (one: "${key}=${text one}\n") (if b.isList value then value else [ value ]);
      lines = b.concatLists (lib.mapAttrsToList line values);
    in
    lib.optionalString (lines != [ ]) "[${name}]\n${b.concatStringsSep "" lines}";
  words =
    unit: from: to:
    lib.optionalAttrs (unit.${from} or [ ] != [ ]) { ${to} = b.concatStringsSep " " unit.${from}; };
  render =
    unit: name: values:
    b.concatStringsSep "\n" (
      b.filter (part: part != "") [
        (section "Unit" (
          lib.optionalAttrs (unit ? description) { Description = unit.description; }
          // words unit "documentation" "Documentation"
          // words unit "after" "After"
          // words unit "wants" "Wants"
          // unit.unitConfig or { }
        ))
        (section name (
          values
          // lib.optionalAttrs (unit ? environment) {
            Environment = lib.mapAttrsToList (key: value: "\"${key}=${value}\"") unit.environment;
          }
          // lib.optionalAttrs (unit ? script) { ExecStart = "/bin/sh -euc ${b.toJSON unit.script}"; }
        ))
        # NixOS makes links of these.
        (section "Install" (words unit "wantedBy" "WantedBy"))
      ]
    );
  units =
    suffix: name: key: set:
    lib.listToAttrs (
      lib.mapAttrsToList (
        unit: value: lib.nameValuePair "${unit}.${suffix}" (render value name value.${key})
      ) set
    );
  inherit (evaluated.config) systemd;
in
evaluated
// {
  units =
    units "service" "Service" "serviceConfig" systemd.services
    // units "timer" "Timer" "timerConfig" systemd.timers
    // units "socket" "Socket" "socketConfig" systemd.sockets;
}
