"""What the firmware tables of an EC2 instance say."""
import cloudinit.dmi

uuid = "ec2e1916-9099-7caf-fd21-012345abcdef"
tables = {"system-uuid": uuid, "system-serial-number": uuid}
cloudinit.dmi.read_dmi_data = tables.get
