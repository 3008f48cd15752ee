// SPDX-License-Identifier: GPL-2.0-only
/* Controls, each of one open file. */

#include "encoder.h"

/* Frame size and rate in macroblocks (ITU-T H.264, table A-1), as far as the block in Raspberry Pis goes. */
static const struct level {
	u32 idc;
	u32 frame;
	u32 rate;
} levels[] = {
	[V4L2_MPEG_VIDEO_H264_LEVEL_1_0] = { 10, 99, 1485 },
	[V4L2_MPEG_VIDEO_H264_LEVEL_1B] = { 11, 99, 1485 },
	[V4L2_MPEG_VIDEO_H264_LEVEL_1_1] = { 11, 396, 3000 },
	[V4L2_MPEG_VIDEO_H264_LEVEL_1_2] = { 12, 396, 6000 },
	[V4L2_MPEG_VIDEO_H264_LEVEL_1_3] = { 13, 396, 11880 },
	[V4L2_MPEG_VIDEO_H264_LEVEL_2_0] = { 20, 396, 11880 },
	[V4L2_MPEG_VIDEO_H264_LEVEL_2_1] = { 21, 792, 19800 },
	[V4L2_MPEG_VIDEO_H264_LEVEL_2_2] = { 22, 1620, 20250 },
	[V4L2_MPEG_VIDEO_H264_LEVEL_3_0] = { 30, 1620, 40500 },
	[V4L2_MPEG_VIDEO_H264_LEVEL_3_1] = { 31, 3600, 108000 },
	[V4L2_MPEG_VIDEO_H264_LEVEL_3_2] = { 32, 5120, 216000 },
	[V4L2_MPEG_VIDEO_H264_LEVEL_4_0] = { 40, 8192, 245760 },
	[V4L2_MPEG_VIDEO_H264_LEVEL_4_1] = { 41, 8192, 245760 },
	[V4L2_MPEG_VIDEO_H264_LEVEL_4_2] = { 42, 8704, 522240 },
};

static int set_control(struct v4l2_ctrl *control)
{
	struct session *session = container_of(control->handler, struct session, controls);

	switch (control->id) {
	case V4L2_CID_MPEG_VIDEO_BITRATE:
		WRITE_ONCE(session->bitrate, control->val);
		/* Controls are there before the queues. */
		if (session->fh.m2m_ctx && streams(session))
			session->bitrate_changes++;
		note_bitrate(control->val);
		return 0;
	/* Every I picture is an IDR picture here, so the two are one: what was set last counts. */
	case V4L2_CID_MPEG_VIDEO_GOP_SIZE:
	case V4L2_CID_MPEG_VIDEO_H264_I_PERIOD:
		WRITE_ONCE(session->period, control->val);
		return 0;
	case V4L2_CID_MPEG_VIDEO_H264_LEVEL:
		session->level = control->val;
		return 0;
	case V4L2_CID_MPEG_VIDEO_REPEAT_SEQ_HEADER:
		WRITE_ONCE(session->repeat_headers, control->val);
		return 0;
	case V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME:
		set_bit(0, &session->force_key);
		note_forced_key();
		return 0;
	default:
		/* Accepted, and without effect: rate control mode, header mode, profile. */
		return 0;
	}
}

static const struct v4l2_ctrl_ops control_ops = { .s_ctrl = set_control };

int add_controls(struct session *session)
{
	struct v4l2_ctrl_handler *all = &session->controls;
	const struct v4l2_ctrl_ops *ops = &control_ops;
	struct v4l2_ctrl *minimum;

	v4l2_ctrl_handler_init(all, 12);
	/* The ranges and defaults of bcm2835-codec. */
	v4l2_ctrl_new_std(all, ops, V4L2_CID_MPEG_VIDEO_BITRATE, 25000, 25000000, 25000, 10000000);
	v4l2_ctrl_new_std_menu(all, ops, V4L2_CID_MPEG_VIDEO_BITRATE_MODE, V4L2_MPEG_VIDEO_BITRATE_MODE_CBR, 0,
			       V4L2_MPEG_VIDEO_BITRATE_MODE_VBR);
	v4l2_ctrl_new_std(all, ops, V4L2_CID_MPEG_VIDEO_GOP_SIZE, 0, S32_MAX, 1, 60);
	v4l2_ctrl_new_std(all, ops, V4L2_CID_MPEG_VIDEO_H264_I_PERIOD, 0, S32_MAX, 1, 60);
	v4l2_ctrl_new_std(all, ops, V4L2_CID_MPEG_VIDEO_B_FRAMES, 0, 0, 1, 0);
	v4l2_ctrl_new_std_menu(all, ops, V4L2_CID_MPEG_VIDEO_H264_PROFILE,
			       V4L2_MPEG_VIDEO_H264_PROFILE_CONSTRAINED_BASELINE, 0,
			       V4L2_MPEG_VIDEO_H264_PROFILE_CONSTRAINED_BASELINE);
	v4l2_ctrl_new_std_menu(all, ops, V4L2_CID_MPEG_VIDEO_H264_LEVEL, V4L2_MPEG_VIDEO_H264_LEVEL_4_2, 0,
			       V4L2_MPEG_VIDEO_H264_LEVEL_4_0);
	v4l2_ctrl_new_std_menu(all, ops, V4L2_CID_MPEG_VIDEO_HEADER_MODE,
			       V4L2_MPEG_VIDEO_HEADER_MODE_JOINED_WITH_1ST_FRAME,
			       BIT(V4L2_MPEG_VIDEO_HEADER_MODE_SEPARATE),
			       V4L2_MPEG_VIDEO_HEADER_MODE_JOINED_WITH_1ST_FRAME);
	v4l2_ctrl_new_std(all, ops, V4L2_CID_MPEG_VIDEO_REPEAT_SEQ_HEADER, 0, 1, 1, 0);
	v4l2_ctrl_new_std(all, ops, V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME, 0, 0, 0, 0);
	minimum = v4l2_ctrl_new_std(all, ops, V4L2_CID_MIN_BUFFERS_FOR_OUTPUT, 1, 1, 1, 1);
	if (minimum)
		minimum->flags |= V4L2_CTRL_FLAG_READ_ONLY;
	if (all->error)
		return all->error;
	session->fh.ctrl_handler = all;
	return v4l2_ctrl_handler_setup(all);
}

/* What the level set allows; the real block refuses as late as this, too. */
bool within_level(const struct session *session)
{
	const struct level *level = &levels[session->level];
	u32 count = h264_macroblocks(session->crop.width, session->crop.height);

	return count <= level->frame && (u64)count * session->interval.denominator <=
						(u64)level->rate * session->interval.numerator;
}

u32 level_idc(const struct session *session)
{
	return levels[session->level].idc;
}
