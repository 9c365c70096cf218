# Types of our own.
{ lib }:
let
  notInStore =
    place: !(builtins.hasContext place) && !(lib.hasPrefix "${builtins.storeDir}/" place);
in
{
  # The Nix store can be read by everybody on the machine, and is copied to
  # others. A path literal (./signing.key) would put the secret there, so only
  # strings are taken.
  secretPath = lib.mkOptionType {
    name = "secretPath";
    description = "absolute path of a secret outside the Nix store, in quotes";
    descriptionClass = "noun";
    check = place: builtins.isString place && lib.hasPrefix "/" place && notInStore place;
    merge = lib.options.mergeEqualOption;
  };
}
