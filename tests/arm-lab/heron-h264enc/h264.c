// SPDX-License-Identifier: GPL-2.0-only
/* Numbers in brackets are clauses of ITU-T H.264. */

#include <linux/bitops.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include "h264.h"

enum { SKIPPED, REPEATS_UPPER, REPEATS_LEFT, PCM };
enum { CB = 256, CR = 320 };
enum { NAL_SLICE = 1, NAL_IDR = 5, NAL_SPS = 7, NAL_PPS = 8 };

/*
 * NAL units (7.3.1), bit by bit.
 */

struct writer {
	u8 *out;
	size_t room;
	size_t length;
	/* Zero bytes that the unit ends with so far. */
	u32 zeros;
	/* Bits that are no whole byte yet, and how many. */
	u8 rest;
	u32 held;
};

static void emit(struct writer *w, u8 byte)
{
	if (w->length < w->room)
		w->out[w->length] = byte;
	w->length++;
}

static void put_byte(struct writer *w, u8 byte)
{
	/* Nothing within a unit may look like a start code (7.4.1). */
	if (w->zeros >= 2 && byte <= 3) {
		emit(w, 3);
		w->zeros = 0;
	}
	emit(w, byte);
	w->zeros = byte ? 0 : w->zeros + 1;
}

static void put_bits(struct writer *w, u32 value, u32 count)
{
	while (count--) {
		w->rest = w->rest << 1 | (value >> count & 1);
		if (++w->held == 8) {
			put_byte(w, w->rest);
			w->held = 0;
		}
	}
}

/* Exp-Golomb, ue(v) (9.1); 0 is the same as se(v). */
static void put_ue(struct writer *w, u32 value)
{
	u32 length = fls(value + 1);

	put_bits(w, 0, length - 1);
	put_bits(w, value + 1, length);
}

static void align_with_zeros(struct writer *w)
{
	while (w->held)
		put_bits(w, 0, 1);
}

static void begin_unit(struct writer *w, u32 type)
{
	emit(w, 0);
	emit(w, 0);
	emit(w, 0);
	emit(w, 1);
	w->zeros = 0;
	/* nal_ref_idc: all of it is needed later. */
	put_byte(w, 3 << 5 | type);
}

static void end_unit(struct writer *w)
{
	put_bits(w, 1, 1);
	align_with_zeros(w);
}

static size_t written(const struct writer *w)
{
	return w->length <= w->room ? w->length : 0;
}

/*
 * Headers
 */

static u32 blocks_in(u32 pixels)
{
	return (pixels + 15) / 16;
}

static void put_sps(struct writer *w, const struct h264_stream *stream)
{
	u32 right = blocks_in(stream->width) * 16 - stream->width;
	u32 bottom = blocks_in(stream->height) * 16 - stream->height;

	begin_unit(w, NAL_SPS);
	put_bits(w, 66, 8); /* profile_idc: baseline, ... */
	put_bits(w, 0xc0, 8); /* ... constraint_set0 and 1: constrained */
	put_bits(w, stream->level_idc, 8);
	put_ue(w, 0); /* seq_parameter_set_id */
	put_ue(w, 4); /* log2_max_frame_num_minus4: 8 bits */
	put_ue(w, 2); /* pic_order_cnt_type: shown as decoded */
	put_ue(w, 1); /* max_num_ref_frames */
	put_bits(w, 0, 1); /* gaps_in_frame_num_value_allowed_flag */
	put_ue(w, blocks_in(stream->width) - 1);
	put_ue(w, blocks_in(stream->height) - 1);
	put_bits(w, 1, 1); /* frame_mbs_only_flag */
	put_bits(w, 1, 1); /* direct_8x8_inference_flag */
	put_bits(w, right || bottom, 1); /* frame_cropping_flag */
	if (right || bottom) {
		put_ue(w, 0);
		put_ue(w, right / 2);
		put_ue(w, 0);
		put_ue(w, bottom / 2);
	}
	put_bits(w, 1, 1); /* vui_parameters_present_flag (E.1.1) */
	put_bits(w, 0, 4); /* no aspect ratio, overscan, signal type, chroma place */
	put_bits(w, 1, 1); /* timing_info_present_flag, in fields */
	put_bits(w, stream->interval_numerator, 32);
	put_bits(w, stream->interval_denominator * 2, 32);
	put_bits(w, 0, 4); /* no fixed rate, no HRD twice, no pic_struct */
	put_bits(w, 1, 1); /* bitstream_restriction_flag: nothing waits for its order */
	put_bits(w, 1, 1); /* motion_vectors_over_pic_boundaries_flag */
	put_ue(w, 0); /* max_bytes_per_pic_denom: any */
	put_ue(w, 0); /* max_bits_per_mb_denom: any */
	put_ue(w, 0); /* log2_max_mv_length_horizontal */
	put_ue(w, 0); /* log2_max_mv_length_vertical */
	put_ue(w, 0); /* max_num_reorder_frames */
	put_ue(w, 1); /* max_dec_frame_buffering */
	end_unit(w);
}

static void put_pps(struct writer *w)
{
	begin_unit(w, NAL_PPS);
	put_ue(w, 0); /* pic_parameter_set_id */
	put_ue(w, 0); /* seq_parameter_set_id */
	put_bits(w, 0, 2); /* CAVLC, no field order */
	put_ue(w, 0); /* one slice group */
	put_ue(w, 0); /* one reference, ... */
	put_ue(w, 0); /* ... in both lists */
	put_bits(w, 0, 3); /* no weighted prediction */
	put_ue(w, 0); /* pic_init_qp_minus26 */
	put_ue(w, 0); /* pic_init_qs_minus26 */
	put_ue(w, 0); /* chroma_qp_index_offset */
	put_bits(w, 1, 1); /* deblocking_filter_control_present_flag */
	put_bits(w, 0, 2); /* no constrained intra prediction, no redundant pictures */
	end_unit(w);
}

static void put_slice_header(struct writer *w, const struct h264_stream *stream, bool key)
{
	put_ue(w, 0); /* first_mb_in_slice */
	put_ue(w, key ? 7 : 5); /* slice_type: all I, all P */
	put_ue(w, 0); /* pic_parameter_set_id */
	put_bits(w, stream->frame_num, 8);
	if (key)
		put_ue(w, stream->idr_pic_id);
	else
		put_bits(w, 0, 2); /* one reference, the last picture */
	put_bits(w, 0, key ? 2 : 1); /* dec_ref_pic_marking: nothing special */
	put_ue(w, 0); /* slice_qp_delta */
	put_ue(w, 1); /* disable_deblocking_filter_idc: samples stay as they are */
}

/*
 * Macroblocks
 */

/* Copies a macroblock's samples out of a picture; beyond its edge the last ones repeat. */
static void take_block(const struct h264_stream *stream, const struct h264_source *source, u32 x, u32 y, u8 *block)
{
	u32 row, column;

	for (row = 0; row < 16; row++) {
		const u8 *from = source->y + (size_t)min(y * 16 + row, stream->height - 1) * source->stride;
		u32 inside = min(stream->width - x * 16, 16u);

		memcpy(block + row * 16, from + x * 16, inside);
		memset(block + row * 16 + inside, from[stream->width - 1], 16 - inside);
	}
	for (row = 0; row < 8; row++) {
		size_t from = (size_t)min(y * 8 + row, stream->height / 2 - 1) * source->chroma_stride;

		for (column = 0; column < 8; column++) {
			u32 at = min(x * 8 + column, stream->width / 2 - 1) * source->chroma_step;

			block[CB + row * 8 + column] = source->cb[from + at];
			block[CR + row * 8 + column] = source->cr[from + at];
		}
	}
}

static bool repeats_row(const u8 *samples, const u8 *above, u32 size)
{
	u32 row;

	for (row = 0; row < size; row++)
		if (memcmp(samples + row * size, above + (size - 1) * size, size))
			return false;
	return true;
}

static bool repeats_column(const u8 *samples, const u8 *left, u32 size)
{
	u32 row, column;

	for (row = 0; row < size; row++)
		for (column = 0; column < size; column++)
			if (samples[row * size + column] != left[row * size + size - 1])
				return false;
	return true;
}

typedef bool compare(const u8 *samples, const u8 *neighbour, u32 size);

static bool repeats(compare *same, const u8 *block, const u8 *neighbour)
{
	return same(block, neighbour, 16) && same(block + CB, neighbour + CB, 8) && same(block + CR, neighbour + CR, 8);
}

/* The cheapest kind that loses nothing; `shown` is what a decoder has there and around it. */
static u8 kind_of(const u8 *block, const u8 *shown, u32 x, u32 y, u32 wide)
{
	if (y && repeats(repeats_row, block, shown - (size_t)wide * H264_BLOCK))
		return REPEATS_UPPER;
	if (x && repeats(repeats_column, block, shown - H264_BLOCK))
		return REPEATS_LEFT;
	return PCM;
}

static void put_block(struct writer *w, const u8 *block, u8 kind, bool beside_pcm, bool key)
{
	u32 intra = key ? 0 : 5; /* mb_type of I macroblocks in P slices (table 7-13) */
	u32 i;

	if (kind == PCM) {
		put_ue(w, intra + 25);
		align_with_zeros(w);
		for (i = 0; i < H264_BLOCK; i++)
			put_byte(w, block[i]);
		return;
	}
	put_ue(w, intra + (kind == REPEATS_UPPER ? 1 : 2)); /* I_16x16_0_0_0, I_16x16_1_0_0 */
	put_ue(w, kind == REPEATS_UPPER ? 2 : 1); /* intra_chroma_pred_mode: vertical, horizontal */
	put_ue(w, 0); /* mb_qp_delta */
	/* coeff_token of no coefficients; an I_PCM neighbour counts as having sixteen (9.2.1). */
	put_bits(w, beside_pcm ? 3 : 1, beside_pcm ? 6 : 1);
}

/*
 * Pictures
 */

u32 h264_macroblocks(u32 width, u32 height)
{
	return blocks_in(width) * blocks_in(height);
}

/* For each macroblock what a decoder shows, what it is to show, and its kind. */
size_t h264_memory(u32 width, u32 height)
{
	return (size_t)h264_macroblocks(width, height) * (2 * H264_BLOCK + 1);
}

size_t h264_largest(u32 width, u32 height)
{
	/* Emulation prevention adds at most a byte to two. */
	return (size_t)h264_macroblocks(width, height) * (H264_BLOCK * 3 / 2 + 8) + 256;
}

size_t h264_write_headers(const struct h264_stream *stream, u8 *out, size_t room)
{
	struct writer w = { .out = out, .room = room };

	put_sps(&w, stream);
	put_pps(&w);
	return written(&w);
}

size_t h264_write_picture(struct h264_stream *stream, const struct h264_source *source, bool key, u32 budget,
			  u8 *out, size_t room)
{
	struct writer w = { .out = out, .room = room };
	u32 wide = blocks_in(stream->width);
	u32 count = h264_macroblocks(stream->width, stream->height);
	u32 left = key ? count : max(budget / H264_BLOCK, 1u);
	u8 *shown = stream->memory;
	u8 *wanted = shown + (size_t)count * H264_BLOCK;
	u8 *kinds = wanted + (size_t)count * H264_BLOCK;
	u32 begin = stream->first_served % count;
	u32 skipped = 0;
	u32 i;

	/* Each picture's budget begins where the last one's ended, so that every macroblock has its turn. */
	for (i = 0; i < count; i++) {
		u32 at = (begin + i) % count;
		u8 *block = wanted + (size_t)at * H264_BLOCK;

		take_block(stream, source, at % wide, at / wide, block);
		kinds[at] = SKIPPED;
		if (left && (key || memcmp(block, shown + (size_t)at * H264_BLOCK, H264_BLOCK))) {
			kinds[at] = PCM;
			stream->first_served = at + 1;
			left--;
		}
	}

	if (key)
		stream->frame_num = 0;
	begin_unit(&w, key ? NAL_IDR : NAL_SLICE);
	put_slice_header(&w, stream, key);
	for (i = 0; i < count; i++) {
		size_t at = (size_t)i * H264_BLOCK;
		u32 x = i % wide, y = i / wide;

		if (kinds[i] == SKIPPED) {
			skipped++;
			continue;
		}
		if (!key)
			put_ue(&w, skipped);
		skipped = 0;
		kinds[i] = kind_of(wanted + at, shown + at, x, y, wide);
		put_block(&w, wanted + at, kinds[i], (x && kinds[i - 1] == PCM) || (y && kinds[i - wide] == PCM), key);
		memcpy(shown + at, wanted + at, H264_BLOCK);
	}
	if (skipped)
		put_ue(&w, skipped);
	end_unit(&w);

	stream->frame_num = (stream->frame_num + 1) & 0xff;
	if (key)
		stream->idr_pic_id ^= 1;
	return written(&w);
}
