let
  lib = import ./plain.nix // {
    types = import ./types.nix lib;
    inherit (import ./modules.nix lib)
      evalModules
      mergeDefinitions
      mergeDefinitionsCount
      pushDown
      optionsOf
      ;
    options.mergeEqualOption = lib.types.mergeEqual;
    generators.toTOML = import ./toml.nix lib;
  };
in
lib
