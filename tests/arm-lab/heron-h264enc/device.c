// SPDX-License-Identifier: GPL-2.0-only
/*
 * A V4L2 stateful encoder that gives H.264 without hardware, for the ARM lab: raw pictures in, an access unit each out
 * (Documentation/userspace-api/media/v4l/dev-encoder.rst). It can be told to fail: parameters.c.
 */

#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <media/v4l2-ioctl.h>

#include "encoder.h"

static int subscribe(struct v4l2_fh *fh, const struct v4l2_event_subscription *subscription)
{
	if (subscription->type == V4L2_EVENT_EOS)
		return v4l2_event_subscribe(fh, subscription, 2, NULL);
	return v4l2_ctrl_subscribe_event(fh, subscription);
}

static const struct v4l2_ioctl_ops ioctls = {
	.vidioc_querycap = querycap,
	.vidioc_enum_fmt_vid_out = enum_raw,
	.vidioc_enum_fmt_vid_cap = enum_coded,
	.vidioc_g_fmt_vid_out = get_format,
	.vidioc_g_fmt_vid_cap = get_format,
	.vidioc_try_fmt_vid_out = try_format,
	.vidioc_try_fmt_vid_cap = try_format,
	.vidioc_s_fmt_vid_out = set_format,
	.vidioc_s_fmt_vid_cap = set_format,
	.vidioc_g_fmt_vid_out_mplane = get_format,
	.vidioc_g_fmt_vid_cap_mplane = get_format,
	.vidioc_try_fmt_vid_out_mplane = try_format,
	.vidioc_try_fmt_vid_cap_mplane = try_format,
	.vidioc_s_fmt_vid_out_mplane = set_format,
	.vidioc_s_fmt_vid_cap_mplane = set_format,
	.vidioc_enum_framesizes = enum_sizes,
	.vidioc_g_selection = get_selection,
	.vidioc_s_selection = set_selection,
	.vidioc_g_parm = get_interval,
	.vidioc_s_parm = set_interval,
	.vidioc_reqbufs = v4l2_m2m_ioctl_reqbufs,
	.vidioc_create_bufs = v4l2_m2m_ioctl_create_bufs,
	.vidioc_prepare_buf = v4l2_m2m_ioctl_prepare_buf,
	.vidioc_querybuf = v4l2_m2m_ioctl_querybuf,
	.vidioc_qbuf = v4l2_m2m_ioctl_qbuf,
	.vidioc_dqbuf = v4l2_m2m_ioctl_dqbuf,
	.vidioc_expbuf = v4l2_m2m_ioctl_expbuf,
	.vidioc_streamon = v4l2_m2m_ioctl_streamon,
	.vidioc_streamoff = v4l2_m2m_ioctl_streamoff,
	.vidioc_try_encoder_cmd = v4l2_m2m_ioctl_try_encoder_cmd,
	.vidioc_encoder_cmd = command,
	.vidioc_subscribe_event = subscribe,
	.vidioc_unsubscribe_event = v4l2_event_unsubscribe,
};

/*
 * Files
 */

static int open_session(struct file *file)
{
	struct encoder *encoder = video_drvdata(file);
	struct session *session = kzalloc(sizeof(*session), GFP_KERNEL);
	int error;

	if (!session)
		return -ENOMEM;
	session->encoder = encoder;
	init_job(session);
	set_default_format(session);
	v4l2_fh_init(&session->fh, video_devdata(file));
	error = add_controls(session);
	if (!error) {
		session->fh.m2m_ctx = v4l2_m2m_ctx_init(encoder->m2m, session, init_queues);
		error = PTR_ERR_OR_ZERO(session->fh.m2m_ctx);
	}
	if (error) {
		v4l2_ctrl_handler_free(&session->controls);
		v4l2_fh_exit(&session->fh);
		kfree(session);
		return error;
	}
	file->private_data = &session->fh;
	v4l2_fh_add(&session->fh);
	list_session(session);
	return 0;
}

static int close_session(struct file *file)
{
	struct session *session = session_of(file);
	struct encoder *encoder = session->encoder;

	unlist_session(session);
	mutex_lock(&encoder->lock);
	v4l2_m2m_ctx_release(session->fh.m2m_ctx);
	mutex_unlock(&encoder->lock);
	v4l2_fh_del(&session->fh);
	v4l2_fh_exit(&session->fh);
	v4l2_ctrl_handler_free(&session->controls);
	kfree(session);
	return 0;
}

static const struct v4l2_file_operations file_ops = {
	.owner = THIS_MODULE,
	.open = open_session,
	.release = close_session,
	.poll = v4l2_m2m_fop_poll,
	.unlocked_ioctl = video_ioctl2,
	.mmap = v4l2_m2m_fop_mmap,
};

/*
 * The device
 */

/* When the driver has let go of it and the last file is closed. */
static void release_encoder(struct v4l2_device *v4l2)
{
	struct encoder *encoder = container_of(v4l2, struct encoder, v4l2);

	v4l2_device_unregister(&encoder->v4l2);
	media_device_cleanup(&encoder->media);
	v4l2_m2m_release(encoder->m2m);
	destroy_workqueue(encoder->work);
	kfree(encoder);
}

static int probe(struct platform_device *device)
{
	struct encoder *encoder = kzalloc(sizeof(*encoder), GFP_KERNEL);
	struct video_device *node;
	int error;

	if (!encoder)
		return -ENOMEM;
	mutex_init(&encoder->lock);
	encoder->media.dev = &device->dev;
	strscpy(encoder->media.model, NAME, sizeof(encoder->media.model));
	media_device_init(&encoder->media);
	encoder->v4l2.mdev = &encoder->media;
	error = v4l2_device_register(&device->dev, &encoder->v4l2);
	if (error)
		goto no_device;
	encoder->work = alloc_workqueue(NAME, WQ_UNBOUND, 1);
	if (!encoder->work) {
		error = -ENOMEM;
		goto no_work;
	}
	encoder->m2m = v4l2_m2m_init(&m2m_ops);
	if (IS_ERR(encoder->m2m)) {
		error = PTR_ERR(encoder->m2m);
		goto no_m2m;
	}
	node = &encoder->node;
	strscpy(node->name, NAME, sizeof(node->name));
	node->v4l2_dev = &encoder->v4l2;
	node->lock = &encoder->lock;
	node->vfl_dir = VFL_DIR_M2M;
	node->fops = &file_ops;
	node->ioctl_ops = &ioctls;
	node->release = video_device_release_empty;
	node->device_caps = V4L2_CAP_STREAMING | (multi_planar() ? V4L2_CAP_VIDEO_M2M_MPLANE : V4L2_CAP_VIDEO_M2M);
	video_set_drvdata(node, encoder);
	platform_set_drvdata(device, encoder);
	error = video_register_device(node, VFL_TYPE_VIDEO, -1);
	if (error)
		goto no_node;
	error = v4l2_m2m_register_media_controller(encoder->m2m, node, MEDIA_ENT_F_PROC_VIDEO_ENCODER);
	if (error)
		goto no_entities;
	error = media_device_register(&encoder->media);
	if (error)
		goto no_media;
	encoder->v4l2.release = release_encoder;
	return 0;

no_media:
	v4l2_m2m_unregister_media_controller(encoder->m2m);
no_entities:
	video_unregister_device(node);
no_node:
	v4l2_m2m_release(encoder->m2m);
no_m2m:
	destroy_workqueue(encoder->work);
no_work:
	v4l2_device_unregister(&encoder->v4l2);
no_device:
	media_device_cleanup(&encoder->media);
	kfree(encoder);
	return error;
}

static int remove(struct platform_device *device)
{
	struct encoder *encoder = platform_get_drvdata(device);

	media_device_unregister(&encoder->media);
	v4l2_m2m_unregister_media_controller(encoder->m2m);
	video_unregister_device(&encoder->node);
	v4l2_device_put(&encoder->v4l2);
	return 0;
}

static struct platform_driver driver = { .probe = probe, .remove = remove, .driver = { .name = NAME } };

static void device_released(struct device *device)
{
}

static struct platform_device device = { .name = NAME, .dev = { .release = device_released } };

static int __init load(void)
{
	int error = platform_device_register(&device);

	if (error)
		return error;
	error = platform_driver_register(&driver);
	if (error)
		platform_device_unregister(&device);
	return error;
}

static void __exit unload(void)
{
	platform_driver_unregister(&driver);
	platform_device_unregister(&device);
}

module_init(load);
module_exit(unload);

MODULE_DESCRIPTION("V4L2 stateful H.264 encoder for tests");
MODULE_LICENSE("GPL");
