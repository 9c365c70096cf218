# Functions without modules.
let
  b = builtins;
in
rec {
  inherit (b)
    attrNames
    attrValues
    concatMap
    concatStringsSep
    elem
    filter
    foldl'
    head
    isAttrs
    listToAttrs
    mapAttrs
    ;
  genAttrs = names: f: listToAttrs (map (name: nameValuePair name (f name)) names);
  nameValuePair = name: value: { inherit name value; };
  mapAttrsToList = f: set: attrValues (mapAttrs f set);
  filterAttrs = keep: set: removeAttrs set (filter (name: !keep name set.${name}) (attrNames set));
  filterAttrsRecursive =
    keep: set:
    mapAttrs (_: value: if isAttrs value then filterAttrsRecursive keep value else value) (
      filterAttrs keep set
    );
  hasPrefix = prefix: text: b.substring 0 (b.stringLength prefix) text == prefix;
  hasSuffix =
    suffix: text:
    let
      from = b.stringLength text - b.stringLength suffix;
    in
    from >= 0 && b.substring from (-1) text == suffix;
  removeSuffix =
    suffix: text:
    if hasSuffix suffix text then
      b.substring 0 (b.stringLength text - b.stringLength suffix) text
    else
      text;
  optional = condition: value: if condition then [ value ] else [ ];
  optionals = condition: values: if condition then values else [ ];
  optionalAttrs = condition: set: if condition then set else { };
  optionalString = condition: text: if condition then text else "";
  unique = foldl' (out: value: if elem value out then out else out ++ [ value ]) [ ];
  toInt = b.fromJSON;
  importTOML = path: b.fromTOML (b.readFile path);
  literalExpression = text: { _type = "literalExpression"; inherit text; };
  literalMD = text: { _type = "literalMD"; inherit text; };
  fileset = {
    unions = paths: assert b.all b.pathExists paths; paths;
    toSource = { root, fileset }: b.seq (b.length fileset) root;
  };
  licenses = genAttrs [ "mit" "asl20" "gpl2Only" ] (spdxId: { inherit spdxId; });
  platforms.linux = [
    "x86_64-linux"
    "aarch64-linux"
  ];
  isFunction = f: b.isFunction f || (f ? __functor);

  mkOption = set: set // { _type = "option"; };
  mkOptionType = set: { _type = "option-type"; } // set;
  mkEnableOption =
    what:
    mkOption {
      type = (import ./types.nix { }).bool;
      default = false;
      example = true;
      description = "Whether to enable ${what}.";
    };
  mkPackageOption =
    pkgs: name: _:
    mkOption {
      type = (import ./types.nix { }).package;
      default = pkgs.${name};
      defaultText = literalExpression "pkgs.${name}";
      description = "The ${name} package to use.";
    };
  mkIf = condition: content: { _type = "if"; inherit condition content; };
  mkMerge = contents: { _type = "merge"; inherit contents; };
  mkOverride = priority: content: { _type = "override"; inherit priority content; };
  mkDefault = mkOverride 1000;
  mkForce = mkOverride 50;
}
