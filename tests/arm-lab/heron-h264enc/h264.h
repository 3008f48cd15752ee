/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A lossless H.264 writer (ITU-T H.264, constrained baseline), as small as one can be.
 *
 * A macroblock is skipped (it looks as it did before), repeats the edge of its upper or left neighbour (intra 16x16
 * prediction without a residual), or carries its samples as they are (I_PCM). No transform, no motion, no loss: what
 * is decoded is what went in, except for macroblocks that a P picture's budget leaves as they were.
 */
#ifndef HERON_H264_H
#define HERON_H264_H

#include <linux/types.h>

/* Bytes of a macroblock's samples: 16x16 luma, 8x8 Cb, 8x8 Cr. */
#define H264_BLOCK 384

/* A picture to encode, 4:2:0. */
struct h264_source {
	const u8 *y;
	const u8 *cb;
	const u8 *cr;
	/* Bytes from row to row. */
	u32 stride;
	u32 chroma_stride;
	/* Bytes from one Cb to the next: 2 where Cb and Cr take turns. */
	u32 chroma_step;
};

struct h264_stream {
	/* The visible size in pixels, even. */
	u32 width;
	u32 height;
	/* Ten times the level: 40 for 4.0. */
	u32 level_idc;
	/* Seconds a frame, as a fraction. */
	u32 interval_numerator;
	u32 interval_denominator;
	/* h264_memory() bytes. */
	u8 *memory;

	/* What follows starts as zero. */
	u32 frame_num;
	u32 idr_pic_id;
	/* The macroblock that a P picture's budget serves first. */
	u32 first_served;
};

u32 h264_macroblocks(u32 width, u32 height);

/* Bytes an encoder of this size works with. */
size_t h264_memory(u32 width, u32 height);

/* Bytes that the headers and any picture of this size fit into. */
size_t h264_largest(u32 width, u32 height);

/* Both write to `out` and return the bytes written, or 0 if they are more than `room`. */
size_t h264_write_headers(const struct h264_stream *stream, u8 *out, size_t room);
/* A key picture is whole; any other carries I_PCM macroblocks for about `budget` bytes, and for one at least. */
size_t h264_write_picture(struct h264_stream *stream, const struct h264_source *source, bool key, u32 budget,
			  u8 *out, size_t room);

#endif
