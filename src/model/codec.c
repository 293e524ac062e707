#include "model/codec_parts.h"

/* Beyond so many, decimals of a scale are taken for the digits of a fraction such as 1/3. */
#define SCALE_DECIMALS_MAX 9

const struct codec_row codec_rows[TYPE_COUNT] = {
	[TYPE_BOOL] = {
		.type = {
			.name = "bool",
			.type = TYPE_BOOL,
			.registers = 1,
			.bits = 1,
			.about = "one coil or discrete input, one bit of a register, or a register that is not 0",
		},
		.decode = codec_decode_bool,
		.encode = codec_encode_bool,
	},
	[TYPE_INT8] = {
		.type = {
			.name = "int8",
			.type = TYPE_INT8,
			.registers = 1,
			.bits = 8,
			.is_signed = true,
			.scalable = true,
			.about = "whole number -128..127, in the low or the high byte of a register",
		},
		.decode = codec_decode_signed,
		.encode = codec_encode_signed,
	},
	[TYPE_UINT8] = {
		.type = {
			.name = "uint8",
			.type = TYPE_UINT8,
			.registers = 1,
			.bits = 8,
			.scalable = true,
			.about = "whole number 0..255, in the low or the high byte of a register",
		},
		.decode = codec_decode_unsigned,
		.encode = codec_encode_unsigned,
	},
	[TYPE_INT16] = {
		.type = {
			.name = "int16",
			.type = TYPE_INT16,
			.registers = 1,
			.bits = 16,
			.is_signed = true,
			.scalable = true,
			.about = "whole number -32768..32767",
		},
		.decode = codec_decode_signed,
		.encode = codec_encode_signed,
	},
	[TYPE_UINT16] = {
		.type = {
			.name = "uint16",
			.type = TYPE_UINT16,
			.registers = 1,
			.bits = 16,
			.scalable = true,
			.about = "whole number 0..65535",
		},
		.decode = codec_decode_unsigned,
		.encode = codec_encode_unsigned,
	},
	[TYPE_INT32] = {
		.type = {
			.name = "int32",
			.type = TYPE_INT32,
			.registers = 2,
			.bits = 32,
			.is_signed = true,
			.scalable = true,
			.about = "whole number -2147483648..2147483647",
		},
		.decode = codec_decode_signed,
		.encode = codec_encode_signed,
	},
	[TYPE_UINT32] = {
		.type = {
			.name = "uint32",
			.type = TYPE_UINT32,
			.registers = 2,
			.bits = 32,
			.scalable = true,
			.about = "whole number 0..4294967295",
		},
		.decode = codec_decode_unsigned,
		.encode = codec_encode_unsigned,
	},
	[TYPE_INT64] = {
		.type = {
			.name = "int64",
			.type = TYPE_INT64,
			.registers = 4,
			.bits = 64,
			.is_signed = true,
			.scalable = true,
			.about = "whole number -2^63..2^63-1",
		},
		.decode = codec_decode_signed,
		.encode = codec_encode_signed,
	},
	[TYPE_UINT64] = {
		.type = {
			.name = "uint64",
			.type = TYPE_UINT64,
			.registers = 4,
			.bits = 64,
			.scalable = true,
			.about = "whole number 0..2^64-1",
		},
		.decode = codec_decode_unsigned,
		.encode = codec_encode_unsigned,
	},
	[TYPE_BCD16] = {
		.type = {
			.name = "bcd16",
			.type = TYPE_BCD16,
			.registers = 1,
			.scalable = true,
			.about = "whole number 0..9999, each decimal digit in four bits",
		},
		.decode = codec_decode_bcd,
		.encode = codec_encode_bcd,
	},
	[TYPE_BCD32] = {
		.type = {
			.name = "bcd32",
			.type = TYPE_BCD32,
			.registers = 2,
			.scalable = true,
			.about = "whole number 0..99999999, each decimal digit in four bits",
		},
		.decode = codec_decode_bcd,
		.encode = codec_encode_bcd,
	},
	[TYPE_FLOAT16] = {
		.type = {
			.name = "float16",
			.type = TYPE_FLOAT16,
			.registers = 1,
			.scalable = true,
			.about = "IEEE 754 half precision",
		},
		.decode = codec_decode_float16,
		.encode = codec_encode_float16,
	},
	[TYPE_FLOAT32] = {
		.type = {
			.name = "float32",
			.type = TYPE_FLOAT32,
			.registers = 2,
			.scalable = true,
			.about = "IEEE 754 single precision",
		},
		.decode = codec_decode_float32,
		.encode = codec_encode_float32,
	},
	[TYPE_FLOAT64] = {
		.type = {
			.name = "float64",
			.type = TYPE_FLOAT64,
			.registers = 4,
			.scalable = true,
			.about = "IEEE 754 double precision",
		},
		.decode = codec_decode_float64,
		.encode = codec_encode_float64,
	},
	[TYPE_STRING] = {
		.type = {
			.name = "string",
			.type = TYPE_STRING,
			.about = "UTF-8 text, two bytes or one a register, up to the first NUL or FF, without trailing spaces",
		},
		.decode = codec_decode_string,
		.encode = codec_encode_string,
	},
	[TYPE_BYTES] = {
		.type = {
			.name = "bytes",
			.type = TYPE_BYTES,
			.about = "text of 0x and hexadecimal digits, four a register, whatever the registers hold",
		},
		.decode = codec_decode_bytes,
		.encode = codec_encode_bytes,
	},
};

const struct codec_type *
codec_type(enum point_type type)
{
	return &codec_rows[type].type;
}

const struct codec_type *
codec_type_find(const char *name)
{
	for (size_t i = 0; i < TYPE_COUNT; i++)
		if (strcmp(codec_rows[i].type.name, name) == 0)
			return &codec_rows[i].type;
	return NULL;
}

int
codec_raw_width(const struct point *point)
{
	return codec_type(point->type)->registers > 0 ? raw_width(point) : 0;
}

int
codec_decimals_of(double number)
{
	double power = 1;

	for (int decimals = 0; decimals <= SCALE_DECIMALS_MAX; decimals++, power *= 10)
		if (round(number * power) / power == number)
			return decimals;
	return -1;
}

int
codec_default_decimals(enum point_type type, double scale, double offset)
{
	int of_scale, of_offset;

	if (type == TYPE_FLOAT16)
		return DECIMALS_HALF;
	if (type == TYPE_FLOAT32)
		return DECIMALS_SINGLE;
	if (type == TYPE_FLOAT64)
		return DECIMALS_DOUBLE;
	of_scale = codec_decimals_of(scale);
	of_offset = codec_decimals_of(offset);
	if (of_scale < 0 || of_offset < 0)
		return DECIMALS_DOUBLE;
	return of_scale > of_offset ? of_scale : of_offset;
}

struct point
codec_unguarded(const struct point *point)
{
	struct point unguarded = *point;

	unguarded.table = point_table_has_bits(point->table) ? TABLE_COIL : TABLE_HOLDING;
	unguarded.writable = true;
	unguarded.has_min = unguarded.has_max = false;
	return unguarded;
}

bool
codec_needs_current(const struct point *point)
{
	return is_field(point) && raw_width(point) < point->count * 16;
}
