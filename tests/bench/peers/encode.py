"""Raw I420 on standard input as H.264 over RTP, for a server that takes no raw pictures; its RTCP (PLI) is heeded.

    encode.py --raw 1280x720@30 --kbps N --rtp 127.0.0.1:5004 --rtcp 127.0.0.1:5005
"""

import argparse
import re
import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--raw", required=True)
    parser.add_argument("--kbps", type=int, default=2000)
    parser.add_argument("--rtp", required=True)
    parser.add_argument("--rtcp", required=True)
    options = parser.parse_args()
    width, height, fps = re.fullmatch(r"(\d+)x(\d+)@(\d+)", options.raw).groups()
    host, port = options.rtp.rsplit(":", 1)
    rtcp_host, rtcp_port = options.rtcp.rsplit(":", 1)
    size = int(width) * int(height) * 3 // 2
    Gst.init(None)
    pipeline = Gst.parse_launch(
        "rtpbin name=rtp rtp-profile=avpf "
        f"fdsrc fd=0 blocksize={size} do-timestamp=true ! "
        f"rawvideoparse width={width} height={height} framerate={fps}/1 format=i420 ! "
        "queue leaky=downstream max-size-buffers=1 ! "
        f"x264enc tune=zerolatency speed-preset=ultrafast bitrate={options.kbps} key-int-max=300 threads=1 ! "
        "video/x-h264,profile=constrained-baseline ! h264parse ! "
        "rtph264pay mtu=1200 config-interval=-1 aggregate-mode=zero-latency pt=96 ! rtp.send_rtp_sink_0 "
        f"rtp.send_rtp_src_0 ! udpsink host={host} port={port} sync=false async=false "
        "udpsrc name=back address=127.0.0.1 port=0 ! rtp.recv_rtcp_sink_0 "
        f"rtp.send_rtcp_src_0 ! udpsink name=reports host={rtcp_host} port={rtcp_port} sync=false async=false"
    )
    # The server sends its RTCP to where the reports come from.
    back, reports = pipeline.get_by_name("back"), pipeline.get_by_name("reports")
    back.set_state(Gst.State.READY)
    reports.set_property("socket", back.get_property("used-socket"))
    reports.set_property("close-socket", False)
    loop = GLib.MainLoop()
    bus = pipeline.get_bus()
    bus.add_signal_watch()
    bus.connect("message::error", lambda _, message: (print(message.parse_error(), file=sys.stderr), loop.quit()))
    bus.connect("message::eos", lambda *_: loop.quit())
    pipeline.set_state(Gst.State.PLAYING)
    loop.run()


main()
