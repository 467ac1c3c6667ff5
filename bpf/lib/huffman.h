/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Huffman's code of HPACK (RFC 7541, appendix B), a bit at a time. It is canonical: codes of a
 * length follow one another, in the order of their symbols.
 */
#pragma once

#include <bpf/bpf_helpers.h>
#include <linux/types.h>

#define HUFFMAN_LONGEST 30
#define HUFFMAN_NONE (-1)
#define HUFFMAN_PADDING 8 /* bits, of which fewer are left at the end */

struct huffman_codes {
	__u32 first;
	__u8 count;
	__u8 place; /* of the first one's symbol */
};

static const struct huffman_codes huffman_codes[32] = {
	[5] = {0x0, 10, 0},	     [6] = {0x14, 26, 10},	  [7] = {0x5c, 32, 36},
	[8] = {0xf8, 6, 68},	     [10] = {0x3f8, 5, 74},	  [11] = {0x7fa, 3, 79},
	[12] = {0xffa, 2, 82},	     [13] = {0x1ff8, 6, 84},	  [14] = {0x3ffc, 2, 90},
	[15] = {0x7ffc, 3, 92},	     [19] = {0x7fff0, 3, 95},	  [20] = {0xfffe6, 8, 98},
	[21] = {0x1fffdc, 13, 106},  [22] = {0x3fffd2, 26, 119},  [23] = {0x7fffd8, 29, 145},
	[24] = {0xffffea, 12, 174},  [25] = {0x1ffffec, 4, 186},  [26] = {0x3ffffe0, 15, 190},
	[27] = {0x7ffffde, 19, 205}, [28] = {0xfffffe2, 29, 224}, [30] = {0x3ffffffc, 3, 253},
};

static const __u8 huffman_symbols[256] = {
	48,  49,  50,  97,  99,	 101, 105, 111, 115, 116, 32,  37,  45,	 46,  47,  51,	52,  53,
	54,  55,  56,  57,  61,	 65,  95,  98,	100, 102, 103, 104, 108, 109, 110, 112, 114, 117,
	58,  66,  67,  68,  69,	 70,  71,  72,	73,  74,  75,  76,  77,	 78,  79,  80,	81,  82,
	83,  84,  85,  86,  87,	 89,  106, 107, 113, 118, 119, 120, 121, 122, 38,  42,	44,  59,
	88,  90,  33,  34,  40,	 41,  63,  39,	43,  124, 35,  62,  0,	 36,  64,  91,	93,  126,
	94,  125, 60,  96,  123, 92,  195, 208, 128, 130, 131, 162, 184, 194, 224, 226, 153, 161,
	167, 172, 176, 177, 179, 209, 216, 217, 227, 229, 230, 129, 132, 133, 134, 136, 146, 154,
	156, 160, 163, 164, 169, 170, 173, 178, 181, 185, 186, 187, 189, 190, 196, 198, 228, 232,
	233, 1,	  135, 137, 138, 139, 140, 141, 143, 147, 149, 150, 151, 152, 155, 157, 158, 165,
	166, 168, 174, 175, 180, 182, 183, 188, 191, 197, 231, 239, 9,	 142, 144, 145, 148, 159,
	171, 206, 215, 225, 236, 237, 199, 207, 234, 235, 192, 193, 200, 201, 202, 205, 210, 213,
	218, 219, 238, 240, 242, 243, 255, 203, 204, 211, 212, 214, 221, 222, 223, 241, 244, 245,
	246, 247, 248, 250, 251, 252, 253, 254, 2,   3,	  4,   5,   6,	 7,   8,   11,	12,  14,
	15,  16,  17,  18,  19,	 20,  21,  23,	24,  25,  26,  27,  28,	 29,  30,  31,	127, 220,
	249, 10,  13,  22};

/* The symbol that ends with this bit. `bits` 0: none has begun. */
static __always_inline int huffman_next(__u32 *code, __u8 *bits, __u32 bit)
{
	const struct huffman_codes *codes;
	__u32 place;

	*code = *code << 1 | (bit & 1);
	*bits += 1;
	codes = &huffman_codes[*bits & 31];
	place = *code - codes->first;
	if (place >= codes->count)
		return HUFFMAN_NONE;
	*code = 0;
	*bits = 0;
	return huffman_symbols[(codes->place + place) & 255];
}

/* Whether what is left behind the last symbol is padding: the start of a code of ones. */
static __always_inline int huffman_ends(__u32 code, __u8 bits)
{
	return bits < HUFFMAN_PADDING && code == (1U << (bits & 7)) - 1;
}
