# The least that works.
{
  services.msp-provenance = {
    enable = true;
    client = "clinic-001";
  };
}
