# The compliance tiers, from the file that the program reads too.
builtins.fromTOML (builtins.readFile ../../config/compliance-tiers.toml)
