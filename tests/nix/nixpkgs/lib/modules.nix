# The module system: imports, mkIf, mkMerge, priorities, submodules, freeform
# types. Errors are worded as those of nixpkgs.
lib:
let
  b = builtins;
  kind = value: if b.isAttrs value then value._type or null else null;
  path = b.concatStringsSep ".";

  # A module as { imports, options, config }.
  load =
    args: module:
    let
      value = if b.isPath module || b.isString module then import module else module;
      set = if lib.isFunction value then value args else value;
      whole = set ? config || set ? options;
    in
    {
      imports = set.imports or [ ];
      options = set.options or { };
      freeform = set.freeformType or null;
      config = if whole then set.config or { } else removeAttrs set [ "imports" "freeformType" "_file" ];
    };
  flatten =
    args: modules:
    b.concatMap (
      module:
      let
        loaded = load args module;
      in
      flatten args loaded.imports ++ [ loaded ]
    ) modules;

  # Conditions and the like around a set, moved to its members.
  pushDown =
    value:
    if kind value == "merge" then
      b.concatMap pushDown value.contents
    else if kind value == "if" then
      map (b.mapAttrs (_: lib.mkIf value.condition)) (pushDown value.content)
    else if kind value == "override" then
      map (b.mapAttrs (_: lib.mkOverride value.priority)) (pushDown value.content)
    else
      [ value ];

  # A definition as the values that hold, each with its priority.
  discharge =
    value:
    if kind value == "merge" then
      b.concatMap discharge value.contents
    else if kind value == "if" then
      if value.condition then discharge value.content else [ ]
    else if kind value == "override" then
      map (found: found // { inherit (value) priority; }) (discharge value.content)
    else
      [
        {
          inherit value;
          priority = 100;
        }
      ];
  strongest =
    found:
    let
      least = b.foldl' (low: one: if one.priority < low then one.priority else low) 9999 found;
    in
    map (one: one.value) (b.filter (one: one.priority == least) found);

  mergeDefinitions =
    loc: type: definitions:
    let
      values = strongest (b.concatMap discharge definitions);
      wrong = b.filter (value: !(type.check value)) values;
    in
    if wrong != [ ] then
      throw "A definition for option `${path loc}' is not of type `${type.description}'. Definition values: ${b.toJSON (b.head wrong)}"
    else
      type.merge loc values;

  mergeTrees =
    trees:
    let
      names = lib.unique (b.concatMap b.attrNames trees);
      at = name: b.concatMap (tree: if tree ? ${name} then [ tree.${name} ] else [ ]) trees;
    in
    lib.genAttrs names (
      name:
      let
        found = at name;
      in
      if b.any (one: kind one == "option") found then b.head found else mergeTrees found
    );

  evalTree =
    loc: freeform: tree: sets:
    let
      at = name: b.concatMap (set: if set ? ${name} then [ set.${name} ] else [ ]) sets;
      known = b.mapAttrs (
        name: option:
        let
          here = loc ++ [ name ];
          definitions = at name ++ lib.optional (option ? default) (lib.mkOverride 1500 option.default);
        in
        if kind option != "option" then
          evalTree here freeform option (b.concatMap pushDown (at name))
        else if b.concatMap discharge definitions == [ ] then
          throw "The option `${path here}' was accessed but has no value defined. Try setting the option."
        else
          mergeDefinitions here option.type definitions
      ) tree;
      others = b.filter (name: !(tree ? ${name})) (lib.unique (b.concatMap b.attrNames sets));
      free = (lib.types.attrsOf freeform).merge loc (
        map (set: b.intersectAttrs (lib.genAttrs others (_: null)) set) sets
      );
    in
    if others == [ ] then
      known
    else if freeform == null then
      throw "The option `${path (loc ++ [ (b.head others) ])}' does not exist."
    else
      free // known;

  evalModules =
    {
      modules,
      specialArgs ? { },
      prefix ? [ ],
    }:
    let
      args = specialArgs // {
        inherit lib config options;
      };
      loaded = flatten args modules;
      options = mergeTrees (map (module: module.options) loaded);
      freeform = b.foldl' (found: module: if module.freeform == null then found else module.freeform) null loaded;
      config = evalTree prefix freeform options (b.concatMap (module: pushDown module.config) loaded);
    in
    {
      inherit config options;
    };
in
{
  inherit evalModules mergeDefinitions pushDown;
  mergeDefinitionsCount = definitions: b.length (b.concatMap discharge definitions);
  # The options of a module alone, such as a submodule's.
  optionsOf = module: mergeTrees (map (one: one.options) (flatten { inherit lib; } [ module ]));
}
