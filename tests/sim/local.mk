# The Modbus simulator.
