# The ThingsBoard bench: a broker that behaves like ThingsBoard's MQTT transport.
