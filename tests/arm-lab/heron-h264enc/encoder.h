/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HERON_ENCODER_H
#define HERON_ENCODER_H

#include <linux/workqueue.h>
#include <media/media-device.h>
#include <media/v4l2-ctrls.h>
#include <media/v4l2-device.h>
#include <media/v4l2-event.h>
#include <media/v4l2-fh.h>
#include <media/v4l2-mem2mem.h>

#include "h264.h"

#define NAME "heron-h264enc"

/* The only device. */
struct encoder {
	struct v4l2_device v4l2;
	struct media_device media;
	struct video_device node;
	struct v4l2_m2m_dev *m2m;
	struct workqueue_struct *work;
	/* Of ioctls and queues. */
	struct mutex lock;
};

/* An open file. */
struct session {
	struct v4l2_fh fh;
	struct encoder *encoder;
	struct list_head others;
	struct v4l2_ctrl_handler controls;
	struct work_struct job;
	/* Orders a job's end and the command to drain. */
	spinlock_t drain;

	struct v4l2_pix_format raw;
	struct v4l2_rect crop;
	u32 coded_room;
	struct v4l2_fract interval;

	u32 bitrate;
	u32 period;
	u32 level;
	bool repeat_headers;
	/* Bit 0: the next picture is to be a key picture. */
	unsigned long force_key;

	struct h264_stream stream;
	/* The first picture of a stream is a key picture and has headers. */
	bool begins;
	/* Ended by `fail=eio`, until the queues are started anew. */
	bool broken;
	u32 since_key;
	u32 frames;
	u32 key_frames;
	/* Bitrates that were set while it streamed. */
	u32 bitrate_changes;
};

static inline struct session *session_of(struct file *file)
{
	return container_of(file->private_data, struct session, fh);
}

/* Both queues stream. */
static inline bool streams(const struct session *session)
{
	return vb2_is_streaming(&session->fh.m2m_ctx->out_q_ctx.q) &&
	       vb2_is_streaming(&session->fh.m2m_ctx->cap_q_ctx.q);
}

/* parameters.c: what tests set and read under /sys/module/heron_h264enc/parameters */

enum fail { FAIL_NONE, FAIL_ERROR, FAIL_EMPTY, FAIL_EIO, FAIL_STALL, FAIL_STREAMON };

enum fail failing(void);
bool multi_planar(void);
/* Raw heights are multiples of this. */
u32 height_step_now(void);
void note_bitrate(u32 bits_per_second);
void note_frame(bool key);
void note_forced_key(void);
void list_session(struct session *session);
void unlist_session(struct session *session);

/* formats.c: formats, cropping, frame interval */

void set_default_format(struct session *session);
u32 buffer_size(const struct session *session, u32 type);
int querycap(struct file *file, void *fh, struct v4l2_capability *cap);
int enum_raw(struct file *file, void *fh, struct v4l2_fmtdesc *desc);
int enum_coded(struct file *file, void *fh, struct v4l2_fmtdesc *desc);
int get_format(struct file *file, void *fh, struct v4l2_format *format);
int try_format(struct file *file, void *fh, struct v4l2_format *format);
int set_format(struct file *file, void *fh, struct v4l2_format *format);
int enum_sizes(struct file *file, void *fh, struct v4l2_frmsizeenum *sizes);
int get_selection(struct file *file, void *fh, struct v4l2_selection *selection);
int set_selection(struct file *file, void *fh, struct v4l2_selection *selection);
int get_interval(struct file *file, void *fh, struct v4l2_streamparm *parm);
int set_interval(struct file *file, void *fh, struct v4l2_streamparm *parm);

/* controls.c */

int add_controls(struct session *session);
/* Whether size and frame rate are within the level that is set. */
bool within_level(const struct session *session);
/* Ten times the level. */
u32 level_idc(const struct session *session);

/* queues.c: buffers, jobs, draining */

extern const struct v4l2_m2m_ops m2m_ops;
void init_job(struct session *session);
int init_queues(void *session, struct vb2_queue *raw, struct vb2_queue *coded);
int command(struct file *file, void *fh, struct v4l2_encoder_cmd *wanted);

#endif
