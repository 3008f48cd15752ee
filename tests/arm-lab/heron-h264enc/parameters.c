// SPDX-License-Identifier: GPL-2.0-only
/* What tests set and read: /sys/module/heron_h264enc/parameters. */

#include <linux/module.h>

#include "encoder.h"

static const char *const fail_names[] = {
	[FAIL_NONE] = "none", [FAIL_ERROR] = "error", [FAIL_EMPTY] = "empty",
	[FAIL_EIO] = "eio", [FAIL_STALL] = "stall", [FAIL_STREAMON] = "streamon",
};

static enum fail fail;

static int set_fail(const char *value, const struct kernel_param *parameter)
{
	int found = sysfs_match_string(fail_names, value);

	if (found < 0)
		return found;
	WRITE_ONCE(fail, found);
	return 0;
}

static int get_fail(char *out, const struct kernel_param *parameter)
{
	return scnprintf(out, PAGE_SIZE, "%s\n", fail_names[READ_ONCE(fail)]);
}

static const struct kernel_param_ops fail_ops = { .set = set_fail, .get = get_fail };
module_param_cb(fail, &fail_ops, NULL, 0644);
MODULE_PARM_DESC(fail, "none; error: buffers come back flagged; empty: they come back empty; eio: the queues fail; "
		       "stall: nothing comes back; streamon: streaming does not start");

static uint height_step = 2;
module_param(height_step, uint, 0644);
MODULE_PARM_DESC(height_step, "raw heights are rounded up to a multiple of this: 2, or 16 as bcm2835-codec does");

static char *planes = "multi";
module_param(planes, charp, 0444);
MODULE_PARM_DESC(planes, "multi (the multi-planar API) or single");

static uint frames, key_frames, forced_keys, bitrate;
module_param(frames, uint, 0444);
MODULE_PARM_DESC(frames, "pictures encoded since the module was loaded");
module_param(key_frames, uint, 0444);
MODULE_PARM_DESC(key_frames, "key pictures among them");
module_param(forced_keys, uint, 0444);
MODULE_PARM_DESC(forced_keys, "key pictures that were asked for by the control");
module_param(bitrate, uint, 0444);
MODULE_PARM_DESC(bitrate, "the bitrate that was set last, bits a second");

static LIST_HEAD(sessions);
static DEFINE_MUTEX(sessions_lock);

static int get_streaming(char *out, const struct kernel_param *parameter)
{
	struct session *session;
	int length = 0;

	mutex_lock(&sessions_lock);
	list_for_each_entry(session, &sessions, others)
		if (streams(session))
			length += scnprintf(out + length, PAGE_SIZE - length,
					    "%ux%u bitrate=%u bitrate_changes=%u frames=%u key_frames=%u\n",
					    session->crop.width, session->crop.height, session->bitrate,
					    session->bitrate_changes, session->frames, session->key_frames);
	mutex_unlock(&sessions_lock);
	return length;
}

static const struct kernel_param_ops streaming_ops = { .get = get_streaming };
module_param_cb(streaming, &streaming_ops, NULL, 0444);
MODULE_PARM_DESC(streaming, "the open files that stream, a line each");

bool multi_planar(void)
{
	return strcmp(planes, "single") != 0;
}

enum fail failing(void)
{
	return READ_ONCE(fail);
}

u32 height_step_now(void)
{
	return clamp(round_down(READ_ONCE(height_step), 2), 2u, 64u);
}

void note_bitrate(u32 bits_per_second)
{
	WRITE_ONCE(bitrate, bits_per_second);
}

/* By one job at a time. */
void note_frame(bool key)
{
	WRITE_ONCE(frames, frames + 1);
	WRITE_ONCE(key_frames, key_frames + key);
}

/* Under the device's lock, as all of its ioctls are. */
void note_forced_key(void)
{
	WRITE_ONCE(forced_keys, forced_keys + 1);
}

void list_session(struct session *session)
{
	mutex_lock(&sessions_lock);
	list_add_tail(&session->others, &sessions);
	mutex_unlock(&sessions_lock);
}

void unlist_session(struct session *session)
{
	mutex_lock(&sessions_lock);
	list_del(&session->others);
	mutex_unlock(&sessions_lock);
}
