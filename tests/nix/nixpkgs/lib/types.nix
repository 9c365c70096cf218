# Option types: a check, a description as nixpkgs words it, and how several
# definitions become one.
lib:
let
  b = builtins;
  show = value: b.toJSON value;
  mergeEqual =
    loc: values:
    let
      first = b.head values;
    in
    if b.all (value: value == first) values then
      first
    else
      throw "The option `${b.concatStringsSep "." loc}' has conflicting definition values: ${show values}";
  type =
    name: description: check:
    {
      _type = "option-type";
      inherit name description check;
      merge = mergeEqual;
    };
  within = low: high: value: b.isInt value && value >= low && value <= high;
  merged = loc: element: values: lib.mergeDefinitions loc element values;
  isPackage = value: b.isAttrs value && value ? outPath;
in
rec {
  inherit mergeEqual;
  str = type "str" "string" b.isString;
  bool = type "bool" "boolean" b.isBool;
  int = type "int" "signed integer" b.isInt;
  ints = {
    positive = type "positiveInt" "positive integer, meaning >0" (value: b.isInt value && value > 0);
    unsigned = type "unsignedInt" "unsigned integer, meaning >=0" (value: b.isInt value && value >= 0);
    between =
      low: high:
      type "intBetween" "integer between ${toString low} and ${toString high} (both inclusive)" (
        within low high
      );
  };
  port = type "unsignedInt16" "16 bit unsigned integer; between 0 and 65535 (both inclusive)" (
    within 0 65535
  );
  package = type "package" "package" isPackage;
  strMatching =
    pattern:
    type "strMatching" "string matching the pattern ${pattern}" (
      value: b.isString value && b.match pattern value != null
    );
  enum =
    values:
    type "enum" "one of ${b.concatStringsSep ", " (map show values)}" (value: b.elem value values);
  lines = type "lines" "strings concatenated with \"\\n\"" b.isString // {
    merge = _: b.concatStringsSep "\n";
  };
  anything = type "anything" "anything" (_: true) // {
    merge =
      loc: values:
      if b.all b.isList values then
        b.concatLists values
      else if b.all (value: b.isAttrs value && !isPackage value) values then
        (attrsOf anything).merge loc values
      else
        mergeEqual loc values;
  };
  nullOr =
    element:
    type "nullOr" "null or ${element.description}" (value: value == null || element.check value)
    // {
      nested = element;
      merge =
        loc: values:
        if b.all (value: value == null) values then
          null
        else
          element.merge loc (b.filter (value: value != null) values);
    };
  either =
    left: right:
    type "either" "${left.description} or ${right.description}" (
      value: left.check value || right.check value
    )
    // {
      merge =
        loc: values: if b.all left.check values then left.merge loc values else right.merge loc values;
    };
  listOf =
    element:
    type "listOf" "list of ${plural element}" b.isList
    // {
      nested = element;
      merge =
        loc: values:
        map (value: merged (loc ++ [ "*" ]) element [ value ]) (b.concatLists values);
    };
  attrsOf =
    element:
    type "attrsOf" "attribute set of ${plural element}" b.isAttrs
    // {
      nested = element;
      merge =
        loc: values:
        let
          sets = b.concatMap lib.pushDown values;
          names = lib.unique (b.concatMap b.attrNames sets);
          one =
            name:
            merged (loc ++ [ name ]) element (
              b.concatMap (set: if set ? ${name} then [ set.${name} ] else [ ]) sets
            );
          # What only stood under a condition that is false is not there.
          there = b.filter (
            name: lib.mergeDefinitionsCount (b.concatMap (set: if set ? ${name} then [ set.${name} ] else [ ]) sets) > 0
          ) names;
        in
        lib.genAttrs there one;
    };
  submodule =
    module:
    type "submodule" "submodule" b.isAttrs
    // {
      inherit module;
      merge =
        loc: values:
        (lib.evalModules {
          prefix = loc;
          modules = [ module ] ++ map (value: { config = value; }) values;
        }).config;
    };
  plural =
    element:
    {
      str = "string";
      submodule = "(submodule)";
    }
    .${element.name} or (
      if b.match ".* .*" element.description != null then "(${element.description})" else element.description
    );
}
