# The sandbox of every unit, and what a unit may need beyond it. Each relaxation
# has a name and a reason; a unit lists the names.
{ lib }:
let
  base = {
    # Nothing is written but what StateDirectory= and the like name.
    ProtectSystem = "strict";
    ProtectHome = true;
    PrivateTmp = true;
    PrivateMounts = true;
    PrivateDevices = true;
    DevicePolicy = "closed";
    UMask = "0027";

    # No identity but its own.
    NoNewPrivileges = true;
    CapabilityBoundingSet = [ "" ];
    AmbientCapabilities = [ "" ];
    PrivateUsers = true;
    RestrictSUIDSGID = true;
    KeyringMode = "private";

    # No network.
    PrivateNetwork = true;
    RestrictAddressFamilies = [ "AF_UNIX" ];
    IPAddressDeny = "any";

    # Nothing of the kernel.
    ProtectClock = true;
    ProtectControlGroups = true;
    ProtectHostname = true;
    ProtectKernelLogs = true;
    ProtectKernelModules = true;
    ProtectKernelTunables = true;
    ProtectProc = "invisible";
    ProcSubset = "pid";
    LockPersonality = true;
    MemoryDenyWriteExecute = true;
    RemoveIPC = true;
    RestrictNamespaces = true;
    RestrictRealtime = true;
    SystemCallArchitectures = "native";
    SystemCallErrorNumber = "EPERM";
    SystemCallFilter = [
      "@system-service"
      "~@privileged @resources"
    ];
  };

  relaxations = {
    readLogs = {
      why = ''
        Logs belong to many users, those of auditd to root alone. This capability
        lets it read every file and write none. It is worth nothing in a user
        namespace of its own, where root's files belong to nobody.
      '';
      set = {
        AmbientCapabilities = [ "CAP_DAC_READ_SEARCH" ];
        CapabilityBoundingSet = [ "CAP_DAC_READ_SEARCH" ];
        PrivateUsers = false;
        SupplementaryGroups = [ "systemd-journal" ];
      };
    };
    readClock = {
      why = ''
        The kernel's clock state is read by adjtimex(2), which the filter and
        ProtectClock= forbid with the calls that set the clock. Without
        CAP_SYS_TIME they can only read.
      '';
      set = {
        ProtectClock = false;
        SystemCallFilter = base.SystemCallFilter ++ [ "adjtimex clock_adjtime" ];
      };
    };
    bootId = {
      why = "Each record names the boot; its id is in /proc/sys, which is no process.";
      set.ProcSubset = "all";
    };
    loopback = {
      why = "chronyd, gpsd, a Bitcoin node or who collects metrics are on this machine.";
      set = {
        PrivateNetwork = false;
        RestrictAddressFamilies = [
          "AF_UNIX"
          "AF_INET"
          "AF_INET6"
        ];
        IPAddressAllow = "localhost";
      };
    };
    network = {
      why = "It talks to another machine, whose address is known by name only.";
      set = {
        PrivateNetwork = false;
        RestrictAddressFamilies = [
          "AF_UNIX"
          "AF_INET"
          "AF_INET6"
        ];
        IPAddressDeny = [ ];
        IPAddressAllow = [ ];
      };
    };
  };
in
{
  inherit base relaxations;
  # The base with the named relaxations, later ones over earlier ones.
  relaxed = names: lib.foldl' (set: name: set // relaxations.${name}.set) base names;
}
