# docs/options.md, from the options themselves.
let
  lib = import ./nixpkgs/lib;
  inherit (import ./eval.nix { }) options;
  b = builtins;

  nix =
    value:
    if b.isList value then
      if value == [ ] then "[ ]" else "[ ${b.concatStringsSep " " (map nix value)} ]"
    else if b.isAttrs value then
      if value == { } then
        "{ }"
      else
        "{ ${b.concatStringsSep " " (lib.mapAttrsToList (name: one: "${name} = ${nix one};") value)} }"
    else
      b.toJSON value;
  # Several lines become one.
  flat =
    text: b.concatStringsSep " " (b.filter (word: b.isString word && word != "") (b.split "[ \n]+" text));
  shown =
    value:
    if value._type or null == "literalMD" then
      value.text
    else if value._type or null == "literalExpression" then
      "`${flat value.text}`"
    else
      "`${nix value}`";

  within = type: type.module or (if type ? nested then within type.nested else null);
  walk =
    place: tree:
    b.concatLists (
      lib.mapAttrsToList (
        name: option:
        let
          here = place ++ [ name ];
          inner = within option.type;
        in
        if option._type or null == "option" then
          [ (entry here option) ] ++ lib.optionals (inner != null) (walk here (lib.optionsOf inner))
        else
          walk here option
      ) tree
    );
  entry =
    place: option:
    b.concatStringsSep "\n" (
      [
        "## ${b.concatStringsSep "." place}"
        ""
        (lib.removeSuffix "\n" option.description)
        ""
        "- type: ${option.type.description}"
      ]
      ++ lib.optional (option ? default || option ? defaultText) "- default: ${
        shown (option.defaultText or option.default)
      }"
      ++ lib.optional (!(option ? default || option ? defaultText)) "- default: none, it must be set"
      ++ lib.optional (option ? example) "- example: ${shown option.example}"
    );
in
''
  # Options of services.msp-provenance

  Made from the modules: `UPDATE_GOLDEN=1 cargo nextest run --test project nix::`. Names are
  without `services.msp-provenance`. [nixos.md](nixos.md) tells how to begin.

''
+ b.concatStringsSep "\n\n" (walk [ ] options)
+ "\n"
