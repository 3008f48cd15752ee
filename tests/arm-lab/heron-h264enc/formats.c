// SPDX-License-Identifier: GPL-2.0-only
/* Formats, cropping and the frame interval: what is set before buffers are. */

#include <media/v4l2-common.h>
#include <media/v4l2-ioctl.h>

#include "encoder.h"

#define MIN_SIZE 32
/* Of the block in Raspberry Pis. */
#define MAX_SIZE 2048
#define STRIDE_STEP 32
#define MAX_STRIDE 8192

static const u32 raw_formats[] = { V4L2_PIX_FMT_NV12, V4L2_PIX_FMT_YUV420 };

/* A device speaks one of the two APIs. */
static bool right_api(u32 type)
{
	return V4L2_TYPE_IS_MULTIPLANAR(type) == multi_planar();
}

static bool is_raw(u32 fourcc)
{
	return fourcc == raw_formats[0] || fourcc == raw_formats[1];
}

static void choose_colours(struct v4l2_pix_format *pix)
{
	if (pix->colorspace == V4L2_COLORSPACE_DEFAULT || !v4l2_is_colorspace_valid(pix->colorspace))
		pix->colorspace = V4L2_COLORSPACE_REC709;
	if (!v4l2_is_xfer_func_valid(pix->xfer_func))
		pix->xfer_func = V4L2_XFER_FUNC_DEFAULT;
	if (!v4l2_is_ycbcr_enc_valid(pix->ycbcr_enc))
		pix->ycbcr_enc = V4L2_YCBCR_ENC_DEFAULT;
	if (!v4l2_is_quant_valid(pix->quantization))
		pix->quantization = V4L2_QUANTIZATION_DEFAULT;
}

static void fit_raw(struct v4l2_pix_format *pix)
{
	u32 step = height_step_now();

	if (!is_raw(pix->pixelformat))
		pix->pixelformat = raw_formats[0];
	pix->width = round_up(clamp_t(u32, pix->width, MIN_SIZE, MAX_SIZE), 2);
	pix->height = clamp_t(u32, roundup(clamp_t(u32, pix->height, MIN_SIZE, MAX_SIZE), step), MIN_SIZE, MAX_SIZE);
	pix->bytesperline = round_up(clamp_t(u32, pix->bytesperline, pix->width, MAX_STRIDE), STRIDE_STEP);
	pix->sizeimage = pix->bytesperline * pix->height * 3 / 2;
	pix->field = V4L2_FIELD_NONE;
	choose_colours(pix);
}

static void fit_coded(const struct session *session, struct v4l2_pix_format *pix)
{
	u32 asked = pix->sizeimage;

	*pix = session->raw;
	pix->pixelformat = V4L2_PIX_FMT_H264;
	pix->width = round_up(session->crop.width, 16);
	pix->height = round_up(session->crop.height, 16);
	pix->bytesperline = 0;
	pix->sizeimage = clamp_t(u32, asked, h264_largest(pix->width, pix->height),
				 h264_largest(MAX_SIZE, MAX_SIZE));
}

static void set_raw(struct session *session, const struct v4l2_pix_format *pix)
{
	session->raw = *pix;
	session->crop = (struct v4l2_rect){ .width = pix->width, .height = pix->height };
	session->coded_room = 0;
}

/* Both APIs have one plane here. */
static void from_user(const struct v4l2_format *format, struct v4l2_pix_format *pix)
{
	const struct v4l2_pix_format_mplane *mp = &format->fmt.pix_mp;

	if (!V4L2_TYPE_IS_MULTIPLANAR(format->type)) {
		*pix = format->fmt.pix;
		return;
	}
	*pix = (struct v4l2_pix_format){
		.width = mp->width,
		.height = mp->height,
		.pixelformat = mp->pixelformat,
		.bytesperline = mp->plane_fmt[0].bytesperline,
		.sizeimage = mp->plane_fmt[0].sizeimage,
		.colorspace = mp->colorspace,
		.xfer_func = mp->xfer_func,
		.ycbcr_enc = mp->ycbcr_enc,
		.quantization = mp->quantization,
	};
}

static void to_user(const struct v4l2_pix_format *pix, struct v4l2_format *format)
{
	struct v4l2_pix_format_mplane *mp = &format->fmt.pix_mp;

	if (!V4L2_TYPE_IS_MULTIPLANAR(format->type)) {
		format->fmt.pix = *pix;
		format->fmt.pix.flags = 0;
		return;
	}
	*mp = (struct v4l2_pix_format_mplane){
		.width = pix->width,
		.height = pix->height,
		.pixelformat = pix->pixelformat,
		.field = V4L2_FIELD_NONE,
		.num_planes = 1,
		.colorspace = pix->colorspace,
		.xfer_func = pix->xfer_func,
		.ycbcr_enc = pix->ycbcr_enc,
		.quantization = pix->quantization,
	};
	mp->plane_fmt[0].bytesperline = pix->bytesperline;
	mp->plane_fmt[0].sizeimage = pix->sizeimage;
}

int querycap(struct file *file, void *fh, struct v4l2_capability *cap)
{
	strscpy(cap->driver, NAME, sizeof(cap->driver));
	strscpy(cap->card, NAME, sizeof(cap->card));
	return 0;
}

int enum_raw(struct file *file, void *fh, struct v4l2_fmtdesc *desc)
{
	if (desc->index >= ARRAY_SIZE(raw_formats))
		return -EINVAL;
	desc->pixelformat = raw_formats[desc->index];
	return 0;
}

int enum_coded(struct file *file, void *fh, struct v4l2_fmtdesc *desc)
{
	if (desc->index)
		return -EINVAL;
	desc->pixelformat = V4L2_PIX_FMT_H264;
	return 0;
}

int get_format(struct file *file, void *fh, struct v4l2_format *format)
{
	struct session *session = session_of(file);
	struct v4l2_pix_format pix = { .sizeimage = session->coded_room };

	if (!right_api(format->type))
		return -EINVAL;
	if (V4L2_TYPE_IS_OUTPUT(format->type))
		pix = session->raw;
	else
		fit_coded(session, &pix);
	to_user(&pix, format);
	return 0;
}

int try_format(struct file *file, void *fh, struct v4l2_format *format)
{
	struct v4l2_pix_format pix;

	if (!right_api(format->type))
		return -EINVAL;
	from_user(format, &pix);
	if (V4L2_TYPE_IS_OUTPUT(format->type))
		fit_raw(&pix);
	else
		fit_coded(session_of(file), &pix);
	to_user(&pix, format);
	return 0;
}

static bool has_buffers(struct session *session, u32 type)
{
	return vb2_is_busy(v4l2_m2m_get_vq(session->fh.m2m_ctx, type));
}

int set_format(struct file *file, void *fh, struct v4l2_format *format)
{
	struct session *session = session_of(file);
	struct v4l2_pix_format pix;
	int error = try_format(file, fh, format);

	if (error)
		return error;
	/* The raw size decides on that of both queues' buffers. */
	if (has_buffers(session, format->type) ||
	    (V4L2_TYPE_IS_OUTPUT(format->type) && has_buffers(session, V4L2_BUF_TYPE_VIDEO_CAPTURE)))
		return -EBUSY;
	from_user(format, &pix);
	if (V4L2_TYPE_IS_OUTPUT(format->type))
		set_raw(session, &pix);
	else
		session->coded_room = pix.sizeimage;
	return 0;
}

int enum_sizes(struct file *file, void *fh, struct v4l2_frmsizeenum *sizes)
{
	if (sizes->index || !(is_raw(sizes->pixel_format) || sizes->pixel_format == V4L2_PIX_FMT_H264))
		return -EINVAL;
	sizes->type = V4L2_FRMSIZE_TYPE_STEPWISE;
	sizes->stepwise = (struct v4l2_frmsize_stepwise){ MIN_SIZE, MAX_SIZE, 2, MIN_SIZE, MAX_SIZE, 2 };
	return 0;
}

int get_selection(struct file *file, void *fh, struct v4l2_selection *selection)
{
	struct session *session = session_of(file);

	if (selection->type != V4L2_BUF_TYPE_VIDEO_OUTPUT)
		return -EINVAL;
	switch (selection->target) {
	case V4L2_SEL_TGT_CROP:
		selection->r = session->crop;
		return 0;
	case V4L2_SEL_TGT_CROP_DEFAULT:
	case V4L2_SEL_TGT_CROP_BOUNDS:
		selection->r = (struct v4l2_rect){ .width = session->raw.width, .height = session->raw.height };
		return 0;
	default:
		return -EINVAL;
	}
}

int set_selection(struct file *file, void *fh, struct v4l2_selection *selection)
{
	struct session *session = session_of(file);
	struct v4l2_rect *r = &selection->r;

	if (selection->type != V4L2_BUF_TYPE_VIDEO_OUTPUT || selection->target != V4L2_SEL_TGT_CROP)
		return -EINVAL;
	if (has_buffers(session, V4L2_BUF_TYPE_VIDEO_OUTPUT) || has_buffers(session, V4L2_BUF_TYPE_VIDEO_CAPTURE))
		return -EBUSY;
	r->width = round_down(clamp_t(u32, r->width, MIN_SIZE, session->raw.width), 2);
	r->height = round_down(clamp_t(u32, r->height, MIN_SIZE, session->raw.height), 2);
	r->left = round_down(clamp_t(s32, r->left, 0, session->raw.width - r->width), 2);
	r->top = round_down(clamp_t(s32, r->top, 0, session->raw.height - r->height), 2);
	session->crop = *r;
	session->coded_room = 0;
	return 0;
}

int get_interval(struct file *file, void *fh, struct v4l2_streamparm *parm)
{
	if (!V4L2_TYPE_IS_OUTPUT(parm->type))
		return -EINVAL;
	parm->parm.output.capability = V4L2_CAP_TIMEPERFRAME;
	parm->parm.output.timeperframe = session_of(file)->interval;
	return 0;
}

int set_interval(struct file *file, void *fh, struct v4l2_streamparm *parm)
{
	struct v4l2_fract interval = parm->parm.output.timeperframe;

	if (!V4L2_TYPE_IS_OUTPUT(parm->type))
		return -EINVAL;
	if (!interval.numerator || !interval.denominator || interval.denominator > U32_MAX / 2)
		interval = (struct v4l2_fract){ 1, 30 };
	session_of(file)->interval = interval;
	return get_interval(file, fh, parm);
}

void set_default_format(struct session *session)
{
	struct v4l2_pix_format pix = { .width = 640, .height = 480 };

	fit_raw(&pix);
	set_raw(session, &pix);
	session->interval = (struct v4l2_fract){ 1, 30 };
}

u32 buffer_size(const struct session *session, u32 type)
{
	struct v4l2_pix_format pix = { .sizeimage = session->coded_room };

	if (V4L2_TYPE_IS_OUTPUT(type))
		return session->raw.sizeimage;
	fit_coded(session, &pix);
	return pix.sizeimage;
}
