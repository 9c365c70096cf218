# TOML: scalars and lists first, then tables, so that none falls into another.
lib:
let
  b = builtins;
  string = text: b.toJSON text;
  key = name: if b.match "[A-Za-z0-9_-]+" name != null then name else string name;
  isTables = value: b.isList value && value != [ ] && b.all b.isAttrs value;
  inline =
    value:
    if b.isString value then
      string value
    else if b.isList value then
      "[${b.concatStringsSep ", " (map inline value)}]"
    else if b.isAttrs value then
      "{ ${b.concatStringsSep ", " (lib.mapAttrsToList (name: one: "${key name} = ${inline one}") value)} }"
    else
      b.toJSON value;
  table =
    place: set:
    let
      plain = lib.filterAttrs (_: value: !b.isAttrs value && !isTables value) set;
      tables = lib.filterAttrs (_: b.isAttrs) set;
      lists = lib.filterAttrs (_: isTables) set;
      under = name: b.concatStringsSep "." (place ++ [ (key name) ]);
      lines = lib.mapAttrsToList (name: value: "${key name} = ${inline value}\n") plain;
      below = lib.mapAttrsToList (name: value: "\n[${under name}]\n${table (place ++ [ (key name) ]) value}") tables;
      each = lib.mapAttrsToList (
        name: values:
        b.concatStringsSep "" (map (value: "\n[[${under name}]]\n${table (place ++ [ (key name) ]) value}") values)
      ) lists;
    in
    b.concatStringsSep "" (lines ++ below ++ each);
in
table [ ]
