// SPDX-License-Identifier: GPL-2.0-only
/* Buffers, the jobs that turn one into the other, and draining. */

#include <media/v4l2-ioctl.h>
#include <media/videobuf2-vmalloc.h>

#include "encoder.h"

static const struct v4l2_event end_of_stream = { .type = V4L2_EVENT_EOS };

/*
 * Jobs: one picture in, one access unit out
 */

static size_t encode(struct session *session, struct vb2_buffer *from, struct vb2_buffer *to, bool *key)
{
	const struct v4l2_pix_format *raw = &session->raw;
	const struct v4l2_rect *crop = &session->crop;
	bool planar = raw->pixelformat == V4L2_PIX_FMT_YUV420;
	u32 period = READ_ONCE(session->period);
	u8 *y = vb2_plane_vaddr(from, 0), *out = vb2_plane_vaddr(to, 0);
	size_t room = vb2_plane_size(to, 0), headers = 0, picture;
	struct h264_source source;
	u64 budget;
	u8 *chroma;

	if (!y || !out)
		return 0;
	y += from->planes[0].data_offset;
	chroma = y + raw->bytesperline * raw->height;
	source.stride = raw->bytesperline;
	source.chroma_stride = planar ? raw->bytesperline / 2 : raw->bytesperline;
	source.chroma_step = planar ? 1 : 2;
	source.y = y + crop->top * raw->bytesperline + crop->left;
	source.cb = chroma + crop->top / 2 * source.chroma_stride + crop->left / 2 * source.chroma_step;
	source.cr = source.cb + (planar ? raw->bytesperline / 2 * raw->height / 2 : 1);

	*key = test_and_clear_bit(0, &session->force_key) || session->begins ||
	       (period && session->since_key >= period);
	session->stream.interval_numerator = session->interval.numerator;
	session->stream.interval_denominator = session->interval.denominator;
	if (session->begins || (*key && READ_ONCE(session->repeat_headers))) {
		headers = h264_write_headers(&session->stream, out, room);
		if (!headers)
			return 0;
	}
	budget = div_u64((u64)READ_ONCE(session->bitrate) / 8 * session->interval.numerator,
			 session->interval.denominator);
	picture = h264_write_picture(&session->stream, &source, *key, min_t(u64, budget, U32_MAX), out + headers,
				     room - headers);
	return picture ? headers + picture : 0;
}

static void finish(struct session *session, struct vb2_v4l2_buffer *from, struct vb2_v4l2_buffer *to,
		   enum vb2_buffer_state state)
{
	struct v4l2_m2m_ctx *m2m = session->fh.m2m_ctx;
	bool last;

	v4l2_m2m_buf_copy_metadata(from, to, false);
	to->field = V4L2_FIELD_NONE;
	spin_lock(&session->drain);
	last = v4l2_m2m_is_last_draining_src_buf(m2m, from);
	if (last) {
		to->flags |= V4L2_BUF_FLAG_LAST;
		v4l2_m2m_mark_stopped(m2m);
		/* Before the buffer: poll() looks at buffers first, so whoever is shown the last one is shown this, too. */
		v4l2_event_queue_fh(&session->fh, &end_of_stream);
	}
	v4l2_m2m_src_buf_remove(m2m);
	v4l2_m2m_dst_buf_remove(m2m);
	v4l2_m2m_buf_done(from, state);
	v4l2_m2m_buf_done(to, state);
	spin_unlock(&session->drain);
}

static void work(struct work_struct *job)
{
	struct session *session = container_of(job, struct session, job);
	struct v4l2_m2m_ctx *m2m = session->fh.m2m_ctx;
	struct vb2_v4l2_buffer *from = v4l2_m2m_next_src_buf(m2m);
	struct vb2_v4l2_buffer *to = v4l2_m2m_next_dst_buf(m2m);
	enum fail mode = failing();
	size_t length = 0;
	bool key = false;

	if (mode == FAIL_EIO) {
		session->broken = true;
		vb2_queue_error(v4l2_m2m_get_src_vq(m2m));
		vb2_queue_error(v4l2_m2m_get_dst_vq(m2m));
		goto done;
	}
	to->flags &= ~(V4L2_BUF_FLAG_KEYFRAME | V4L2_BUF_FLAG_PFRAME | V4L2_BUF_FLAG_LAST);
	to->sequence = from->sequence = session->frames;
	if (mode == FAIL_NONE)
		length = encode(session, &from->vb2_buf, &to->vb2_buf, &key);
	vb2_set_plane_payload(&to->vb2_buf, 0, length);
	if (length) {
		to->flags |= key ? V4L2_BUF_FLAG_KEYFRAME : V4L2_BUF_FLAG_PFRAME;
		session->begins = false;
		session->since_key = key ? 1 : session->since_key + 1;
		session->frames++;
		session->key_frames += key;
		note_frame(key);
	}
	finish(session, from, to, length || mode == FAIL_EMPTY ? VB2_BUF_STATE_DONE : VB2_BUF_STATE_ERROR);
done:
	v4l2_m2m_job_finish(session->encoder->m2m, m2m);
}

void init_job(struct session *session)
{
	spin_lock_init(&session->drain);
	INIT_WORK(&session->job, work);
}

/* Elsewhere, as hardware would: whoever queued the buffer does not wait. */
static void run(void *context)
{
	struct session *session = context;

	queue_work(session->encoder->work, &session->job);
}

static int ready(void *context)
{
	struct session *session = context;

	return failing() != FAIL_STALL && !session->broken;
}

const struct v4l2_m2m_ops m2m_ops = { .device_run = run, .job_ready = ready };

/*
 * Queues
 */

static int queue_setup(struct vb2_queue *queue, unsigned int *buffers, unsigned int *count, unsigned int sizes[],
		       struct device *devices[])
{
	u32 size = buffer_size(vb2_get_drv_priv(queue), queue->type);

	if (*count)
		return *count != 1 || sizes[0] < size ? -EINVAL : 0;
	*count = 1;
	sizes[0] = size;
	return 0;
}

static int buffer_out_validate(struct vb2_buffer *buffer)
{
	to_vb2_v4l2_buffer(buffer)->field = V4L2_FIELD_NONE;
	return 0;
}

static int buffer_prepare(struct vb2_buffer *buffer)
{
	struct vb2_queue *queue = buffer->vb2_queue;
	u32 needed = buffer_size(vb2_get_drv_priv(queue), queue->type);

	if (V4L2_TYPE_IS_OUTPUT(queue->type))
		needed += buffer->planes[0].data_offset;
	return vb2_plane_size(buffer, 0) < needed ? -EINVAL : 0;
}

static void buffer_queue(struct vb2_buffer *buffer)
{
	struct session *session = vb2_get_drv_priv(buffer->vb2_queue);
	struct v4l2_m2m_ctx *m2m = session->fh.m2m_ctx;
	struct vb2_v4l2_buffer *vbuf = to_vb2_v4l2_buffer(buffer);

	/* Drained while there was no buffer to say so. */
	if (V4L2_TYPE_IS_CAPTURE(buffer->vb2_queue->type) && vb2_is_streaming(buffer->vb2_queue) &&
	    v4l2_m2m_dst_buf_is_last(m2m)) {
		vb2_set_plane_payload(buffer, 0, 0);
		vbuf->field = V4L2_FIELD_NONE;
		vbuf->sequence = session->frames;
		v4l2_m2m_last_buffer_done(m2m, vbuf);
		v4l2_event_queue_fh(&session->fh, &end_of_stream);
		return;
	}
	v4l2_m2m_buf_queue(m2m, vbuf);
}

static void return_buffers(struct session *session, struct vb2_queue *queue, enum vb2_buffer_state state)
{
	struct v4l2_m2m_ctx *m2m = session->fh.m2m_ctx;
	struct vb2_v4l2_buffer *vbuf;

	while ((vbuf = V4L2_TYPE_IS_OUTPUT(queue->type) ? v4l2_m2m_src_buf_remove(m2m) : v4l2_m2m_dst_buf_remove(m2m)))
		v4l2_m2m_buf_done(vbuf, state);
}

static int start_streaming(struct vb2_queue *queue, unsigned int count)
{
	struct session *session = vb2_get_drv_priv(queue);
	struct h264_stream *stream = &session->stream;
	int error = 0;

	if (failing() == FAIL_STREAMON || !within_level(session))
		error = -EINVAL;
	if (!error && V4L2_TYPE_IS_OUTPUT(queue->type)) {
		*stream = (struct h264_stream){
			.width = session->crop.width,
			.height = session->crop.height,
			.level_idc = level_idc(session),
			/* A decoder may be shown the end of one stream and the beginning of the next. */
			.idr_pic_id = stream->idr_pic_id,
			.memory = kvzalloc(h264_memory(session->crop.width, session->crop.height), GFP_KERNEL),
		};
		if (!stream->memory)
			error = -ENOMEM;
	}
	if (error) {
		return_buffers(session, queue, VB2_BUF_STATE_QUEUED);
		return error;
	}
	session->begins = true;
	session->broken = false;
	v4l2_m2m_update_start_streaming_state(session->fh.m2m_ctx, queue);
	return 0;
}

static void stop_streaming(struct vb2_queue *queue)
{
	struct session *session = vb2_get_drv_priv(queue);

	return_buffers(session, queue, VB2_BUF_STATE_ERROR);
	v4l2_m2m_update_stop_streaming_state(session->fh.m2m_ctx, queue);
	if (!V4L2_TYPE_IS_OUTPUT(queue->type))
		return;
	if (v4l2_m2m_has_stopped(session->fh.m2m_ctx))
		v4l2_event_queue_fh(&session->fh, &end_of_stream);
	kvfree(session->stream.memory);
	session->stream.memory = NULL;
}

static const struct vb2_ops queue_ops = {
	.queue_setup = queue_setup,
	.buf_out_validate = buffer_out_validate,
	.buf_prepare = buffer_prepare,
	.buf_queue = buffer_queue,
	.start_streaming = start_streaming,
	.stop_streaming = stop_streaming,
	.wait_prepare = vb2_ops_wait_prepare,
	.wait_finish = vb2_ops_wait_finish,
};

static int init_queue(struct session *session, struct vb2_queue *queue, u32 type)
{
	queue->type = type;
	queue->io_modes = VB2_MMAP | VB2_DMABUF;
	queue->drv_priv = session;
	queue->buf_struct_size = sizeof(struct v4l2_m2m_buffer);
	queue->ops = &queue_ops;
	queue->mem_ops = &vb2_vmalloc_memops;
	queue->timestamp_flags = V4L2_BUF_FLAG_TIMESTAMP_COPY;
	queue->lock = &session->encoder->lock;
	return vb2_queue_init(queue);
}

int init_queues(void *context, struct vb2_queue *from, struct vb2_queue *to)
{
	bool multi = multi_planar();
	int error = init_queue(context, from,
			       multi ? V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE : V4L2_BUF_TYPE_VIDEO_OUTPUT);

	if (error)
		return error;
	return init_queue(context, to, multi ? V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE : V4L2_BUF_TYPE_VIDEO_CAPTURE);
}

/*
 * Draining
 */

int command(struct file *file, void *fh, struct v4l2_encoder_cmd *wanted)
{
	struct session *session = session_of(file);
	struct v4l2_m2m_ctx *m2m = session->fh.m2m_ctx;
	int error = v4l2_m2m_ioctl_try_encoder_cmd(file, fh, wanted);
	bool had_stopped, stopped;

	/* Without both queues streaming there is nothing to drain, and nothing drained. */
	if (error || !streams(session))
		return error;
	spin_lock(&session->drain);
	had_stopped = v4l2_m2m_has_stopped(m2m);
	error = v4l2_m2m_ioctl_encoder_cmd(file, fh, wanted);
	/* Asked here: once a job may end, it may be the one that ends the stream and says so. */
	stopped = v4l2_m2m_has_stopped(m2m);
	spin_unlock(&session->drain);
	if (error)
		return error;
	if (wanted->cmd == V4L2_ENC_CMD_START)
		vb2_clear_last_buffer_dequeued(v4l2_m2m_get_dst_vq(m2m));
	else if (stopped && !had_stopped)
		v4l2_event_queue_fh(&session->fh, &end_of_stream);
	return 0;
}
