# A room of the house is a convenience library; fieldgate, the tests and the fuzz targets link what they need.
# One library, one room: only conf sees libconfig, only field libmodbus and libserialport,
# only line PCRE2, only flow SQLite, only cloud mosquitto, only cloud, line and control json-c.

noinst_LIBRARIES += libbase.a libmodel.a libline.a libconf.a libfield.a libflow.a libcloud.a libcontrol.a libcli.a

libbase_a_SOURCES = \
	src/base/clock.c src/base/clock.h \
	src/base/duration.c src/base/duration.h \
	src/base/fifo.c src/base/fifo.h \
	src/base/hash.c src/base/hash.h \
	src/base/heap.c src/base/heap.h \
	src/base/log.c src/base/log.h \
	src/base/poll.c src/base/poll.h \
	src/base/random.c src/base/random.h \
	src/base/rare.h \
	src/base/resolver.c src/base/resolver.h \
	src/base/thread_name.h \
	src/base/utf8.c src/base/utf8.h \
	src/base/wall.c src/base/wall.h

libmodel_a_SOURCES = \
	src/model/codec.c src/model/codec.h src/model/codec_parts.h src/model/codec_cells.h \
	src/model/codec_decode.c src/model/codec_encode.c \
	src/model/command.c src/model/command.h \
	src/model/difference.c src/model/difference.h \
	src/model/difference_line.c src/model/difference_line.h \
	src/model/exception.c src/model/exception.h \
	src/model/gauges.c src/model/gauges.h \
	src/model/half.c src/model/half.h \
	src/model/health.c src/model/health.h \
	src/model/sample.c src/model/sample.h \
	src/model/settings.c src/model/settings.h \
	src/model/value.c src/model/value.h \
	src/model/whole.c src/model/whole.h

libline_a_CFLAGS = $(AM_CFLAGS) $(PCRE2_CFLAGS) $(JSON_CFLAGS)
libline_a_SOURCES = \
	src/line/checksum.c src/line/checksum.h \
	src/line/extract.c src/line/extract.h \
	src/line/frame.h \
	src/line/framer.c src/line/framer.h \
	src/line/listener.c src/line/listener.h \
	src/line/number.c src/line/number.h \
	src/line/pattern.c src/line/pattern.h \
	src/line/template.c src/line/template.h

LINE_LIBS = libline.a libmodel.a libbase.a $(PCRE2_LIBS) $(JSON_LIBS)

libconf_a_CFLAGS = $(AM_CFLAGS) $(CONFIG_CFLAGS)
libconf_a_SOURCES = \
	src/conf/build_line.c src/conf/build_line.h \
	src/conf/conf.c src/conf/conf.h src/conf/text.h \
	src/conf/credentials.c src/conf/credentials.h \
	src/conf/document.c src/conf/document.h \
	src/conf/mistakes.c src/conf/mistakes.h \
	src/conf/names.c src/conf/names.h \
	src/conf/node.c src/conf/node.h \
	src/conf/reader.c src/conf/reader.h \
	src/conf/syntax.c src/conf/syntax.h \
	src/conf/schema.c src/conf/schema.h \
	src/conf/schema_rows.h \
	src/conf/schema_bus.c \
	src/conf/schema_calls.c \
	src/conf/schema_checks.c \
	src/conf/schema_commands.c \
	src/conf/schema_credentials.c \
	src/conf/schema_device.c \
	src/conf/schema_line.c \
	src/conf/schema_point.c \
	src/conf/schema_root.c \
	src/conf/schema_server.c \
	src/conf/schema_store.c \
	src/conf/verify.c src/conf/verify.h \
	src/conf/verify_commands.c src/conf/verify_commands.h \
	src/conf/verify_line.c src/conf/verify_line.h \
	src/conf/verify_point.c src/conf/verify_point.h

libfield_a_CFLAGS = $(AM_CFLAGS) $(MODBUS_CFLAGS) $(SERIALPORT_CFLAGS)
libfield_a_SOURCES = \
	src/field/bus.c src/field/bus.h src/field/bus_exchange.c src/field/bus_line.c src/field/bus_state.h src/field/bus_turn.c \
	src/field/bus_log.c src/field/bus_log.h \
	src/field/checkup.c src/field/checkup.h \
	src/field/delivery.c src/field/delivery.h \
	src/field/errands.c src/field/errands.h \
	src/field/field.c src/field/field.h \
	src/field/frame.c src/field/frame.h \
	src/field/hotplug.c src/field/hotplug.h \
	src/field/inbox.c src/field/inbox.h \
	src/field/instrument.c src/field/instrument.h \
	src/field/line.c src/field/line.h \
	src/field/link.h \
	src/field/link_modbus.c src/field/link_modbus.h \
	src/field/lore.c src/field/lore.h \
	src/field/memory.c src/field/memory.h \
	src/field/overload.c src/field/overload.h \
	src/field/pdu.c src/field/pdu.h \
	src/field/plan.c src/field/plan.h \
	src/field/port.c src/field/port.h \
	src/field/reopen.c src/field/reopen.h \
	src/field/schedule.c src/field/schedule.h src/field/schedule_adopt.c src/field/schedule_init.c src/field/schedule_load.c \
	src/field/schedule_plan.c src/field/schedule_refusal.c src/field/schedule_state.h src/field/schedule_unit.c \
	src/field/serial.c src/field/serial.h \
	src/field/serial_bus.c src/field/serial_bus.h src/field/serial_bus_input.c src/field/serial_bus_line.c \
	src/field/serial_bus_state.h src/field/serial_bus_talk.c src/field/serial_bus_turn.c src/field/serial_bus_write.c \
	src/field/speed.c src/field/speed.h \
	src/field/talk.c src/field/talk.h \
	src/field/talker.c src/field/talker.h \
	src/field/thread.c src/field/thread.h \
	src/field/unit.c src/field/unit.h \
	src/field/worker.c src/field/worker.h \
	src/field/writer.c src/field/writer.h src/field/writer_greeting.c src/field/writer_neighbours.c src/field/writer_outcome.c \
	src/field/writer_state.h src/field/writer_step.c

libflow_a_CFLAGS = $(AM_CFLAGS) $(SQLITE_CFLAGS)
libflow_a_SOURCES = \
	src/flow/disk.c src/flow/disk.h src/flow/disk_answer.c src/flow/disk_ask.c \
	src/flow/filter.c src/flow/filter.h \
	src/flow/hole.c src/flow/hole.h \
	src/flow/queue.c src/flow/queue.h \
	src/flow/row_time.c src/flow/row_time.h \
	src/flow/spool.c src/flow/spool.h src/flow/spool_database.c src/flow/spool_device.c src/flow/spool_file.c \
	src/flow/spool_rescue.c src/flow/spool_row.c src/flow/spool_scan.c src/flow/spool_state.h \
	src/flow/spooler.c src/flow/spooler.h \
	src/flow/stamps.c src/flow/stamps.h \
	src/flow/store.c src/flow/store.h src/flow/store_rebind.c src/flow/store_state.h \
	src/flow/window.c src/flow/window.h

libcloud_a_CFLAGS = $(AM_CFLAGS) $(MOSQUITTO_CFLAGS) $(OPENSSL_CFLAGS) $(JSON_CFLAGS) $(SYSTEMD_CFLAGS)
libcloud_a_SOURCES = \
	src/cloud/calls.c src/cloud/calls.h \
	src/cloud/cloud_loss.c src/cloud/cloud_loss.h \
	src/cloud/commands.c src/cloud/commands.h \
	src/cloud/downlink.c src/cloud/downlink.h src/cloud/downlink_port.h \
	src/cloud/addresses.c src/cloud/addresses.h \
	src/cloud/connection.c src/cloud/connection.h \
	src/cloud/journal.c src/cloud/journal.h \
	src/cloud/mqtt.c src/cloud/mqtt.h \
	src/cloud/news.c src/cloud/news.h \
	src/cloud/version.c src/cloud/version.h \
	src/cloud/reason.c src/cloud/reason.h \
	src/cloud/rpc.c src/cloud/rpc.h \
	src/cloud/rpc_client.c src/cloud/rpc_client.h \
	src/cloud/rpc_raw.c src/cloud/rpc_raw.h \
	src/cloud/rpc_server.c src/cloud/rpc_server.h \
	src/cloud/shared.c src/cloud/shared.h \
	src/cloud/batch.c src/cloud/batch.h \
	src/cloud/attributes.c src/cloud/attributes.h \
	src/cloud/aside.c src/cloud/aside.h \
	src/cloud/doubt.c src/cloud/doubt.h \
	src/cloud/flights.c src/cloud/flights.h \
	src/cloud/held.c src/cloud/held.h \
	src/cloud/chores.c src/cloud/chores.h \
	src/cloud/device_api.c src/cloud/device_api.h \
	src/cloud/gateway_api.c src/cloud/gateway_api.h src/cloud/session.h \
	src/cloud/intake.c src/cloud/intake.h \
	src/cloud/limits.c src/cloud/limits.h \
	src/cloud/outbox.c src/cloud/outbox.h \
	src/cloud/outlive.c src/cloud/outlive.h \
	src/cloud/overflow.c src/cloud/overflow.h \
	src/cloud/presence.c src/cloud/presence.h \
	src/cloud/sender.c src/cloud/sender.h \
	src/cloud/sieve.c src/cloud/sieve.h \
	src/cloud/claim.c src/cloud/claim.h \
	src/cloud/keeper.c src/cloud/keeper.h \
	src/cloud/provision.c src/cloud/provision.h \
	src/cloud/tb_provision.c src/cloud/tb_provision.h \
	src/cloud/tls.c src/cloud/tls.h \
	src/cloud/tb_gateway.c src/cloud/tb_gateway.h \
	src/cloud/tb_json.c src/cloud/tb_json.h \
	src/cloud/tb_topic.c src/cloud/tb_topic.h \
	src/cloud/uplink.c src/cloud/uplink.h \
	src/cloud/uplink_change.c src/cloud/uplink_session.c src/cloud/uplink_turn.c src/cloud/uplink_state.h

libcontrol_a_CFLAGS = $(AM_CFLAGS) $(JSON_CFLAGS) $(SYSTEMD_CFLAGS)
libcontrol_a_SOURCES = \
	src/control/client.c src/control/client.h \
	src/control/grid.c src/control/grid.h \
	src/control/look.c src/control/look.h \
	src/control/prometheus.c src/control/prometheus.h \
	src/control/protocol.c src/control/protocol.h \
	src/control/report.c src/control/report.h \
	src/control/server.c src/control/server.h \
	src/control/table.c src/control/table.h \
	src/control/watch.c src/control/watch.h

libcli_a_CFLAGS = $(AM_CFLAGS) $(OPENSSL_CFLAGS) $(SYSTEMD_CFLAGS)
libcli_a_SOURCES = \
	src/cli/check.c \
	src/cli/cli.c src/cli/cli.h \
	src/cli/deadline.c src/cli/deadline.h \
	src/cli/desk.c src/cli/desk.h \
	src/cli/gateway.c src/cli/gateway.h \
	src/cli/herald.c src/cli/herald.h \
	src/cli/inspector.c src/cli/inspector.h \
	src/cli/options.c src/cli/options.h \
	src/cli/plan.c \
	src/cli/process.c src/cli/process.h \
	src/cli/reload.c src/cli/reload.h \
	src/cli/secrets.c src/cli/secrets.h \
	src/cli/run.c \
	src/cli/status.c \
	src/cli/try.c \
	src/cli/watchdog.c src/cli/watchdog.h

FIELDGATE_LIBS = \
	libcli.a libcontrol.a libcloud.a libfield.a libconf.a libline.a libflow.a libmodel.a libbase.a \
	$(CONFIG_LIBS) $(PCRE2_LIBS) $(MODBUS_LIBS) $(SERIALPORT_LIBS) $(MOSQUITTO_LIBS) $(OPENSSL_LIBS) $(JSON_LIBS) $(SQLITE_LIBS) $(SYSTEMD_LIBS) -lm

bin_PROGRAMS += fieldgate
fieldgate_SOURCES = src/main.c
fieldgate_LDADD = $(FIELDGATE_LIBS)
