"""GStreamer's webrtcbin as a server: one encoded, once packetised stream for all viewers, WHEP to join.

    webrtcbin.py --listen 10.77.0.1:8890 --rtp 5004                 H.264 by RTP, passed on as it comes
    webrtcbin.py --listen 10.77.0.1:8890 --raw 1280x720@30 --kbps N raw I420 on standard input, encoded

Prints `ready PID` when it takes offers. A viewer's PLI reaches the encoder as GStreamer does it: as an event up the
stream.
"""

import argparse
import hashlib
import os
import re
import ssl
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

GATHERING_LIMIT_S = 10
SSRC = 1212502606
# An elliptic curve, as browsers and the other servers have: GStreamer's own are RSA, which str0m refuses.
CERTIFICATE = "openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -days 30 -subj /CN=bench -keyout -"


def source(options):
    """What delivers H.264 to the packetiser."""
    if options.rtp:
        caps = "application/x-rtp,media=video,encoding-name=H264,clock-rate=90000,payload=96"
        return f'udpsrc port={options.rtp} buffer-size=2000000 caps="{caps}" ! rtph264depay ! h264parse'
    width, height, fps = re.fullmatch(r"(\d+)x(\d+)@(\d+)", options.raw).groups()
    size = int(width) * int(height) * 3 // 2
    return (
        f"fdsrc fd=0 blocksize={size} do-timestamp=true ! "
        f"rawvideoparse width={width} height={height} framerate={fps}/1 format=i420 ! "
        "queue leaky=downstream max-size-buffers=1 ! "
        f"x264enc tune=zerolatency speed-preset=ultrafast bitrate={options.kbps} key-int-max=300 threads=1 "
        "! video/x-h264,profile=constrained-baseline ! h264parse"
    )


class Server:
    def __init__(self, options):
        self.pipeline = Gst.parse_launch(
            source(options) + f" ! rtph264pay name=pay ssrc={SSRC} mtu=1200 config-interval=-1 aggregate-mode=zero-latency"
            " ! tee name=tee allow-not-linked=true"
        )
        self.pay = self.pipeline.get_by_name("pay")
        self.tee = self.pipeline.get_by_name("tee")
        said = subprocess.run(CERTIFICATE.split(), check=True, capture_output=True, text=True)
        self.certificate = said.stdout
        self.fingerprint = fingerprint(said.stdout)
        self.payload_type = None
        self.viewers = {}
        self.next = 0
        self.lock = threading.Lock()
        self.pipeline.set_state(Gst.State.PLAYING)

    def join(self, offer_text):
        _, offer = GstSdp.SDPMessage.new_from_text(offer_text)
        payload_type = h264_payload_type(offer_text)
        with self.lock:
            if self.payload_type is None:
                self.payload_type = payload_type
                self.pay.set_property("pt", payload_type)
            elif self.payload_type != payload_type:
                raise ValueError("one packetiser for all: the payload type must be the first viewer's")
            name = str(self.next)
            self.next += 1
        queue = Gst.ElementFactory.make("queue")
        queue.set_property("leaky", 2)
        webrtc = Gst.ElementFactory.make("webrtcbin")
        webrtc.connect("deep-element-added", self.certify)
        webrtc.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
        gathered = threading.Event()
        webrtc.connect("notify::ice-gathering-state", lambda *_: is_gathered(webrtc) and gathered.set())
        webrtc.connect("notify::connection-state", lambda *_: self.changed(name))
        self.pipeline.add(queue)
        self.pipeline.add(webrtc)
        caps = Gst.Caps.from_string(
            f"application/x-rtp,media=video,encoding-name=H264,clock-rate=90000,payload={payload_type}"
        )
        sink = webrtc.request_pad(webrtc.get_pad_template("sink_%u"), None, caps)
        transceiver = sink.get_property("transceiver")
        transceiver.set_property("codec-preferences", caps)
        transceiver.set_property("direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY)
        transceiver.set_property("do-nack", True)
        queue.get_static_pad("src").link(sink)
        webrtc.sync_state_with_parent()
        queue.sync_state_with_parent()
        # The stream comes after the answer: until then webrtcbin would only block it.
        description = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.OFFER, offer)
        call(webrtc, "set-remote-description", description)
        # The answer lives as long as the reply, and the reply as long as the promise.
        promise = call(webrtc, "create-answer", None)
        reply = promise.get_reply()
        call(webrtc, "set-local-description", reply.get_value("answer"))
        del reply, promise
        tee_pad = self.tee.request_pad_simple("src_%u")
        tee_pad.link(queue.get_static_pad("sink"))
        with self.lock:
            self.viewers[name] = (queue, webrtc, tee_pad)
        if not is_gathered(webrtc) and not gathered.wait(GATHERING_LIMIT_S):
            raise TimeoutError("ICE candidates were not gathered")
        answer = webrtc.get_property("local-description").sdp.as_text()
        # webrtcbin takes its hash over key and certificate where it did not make them itself.
        answer = re.sub(r"a=fingerprint:\S+ [0-9A-F:]+", f"a=fingerprint:sha-256 {self.fingerprint}", answer)
        # Before it has sent, it names source 0; once it has, it gives retransmissions a track of their own.
        retransmissions = re.search(r"a=ssrc-group:FID \d+ (\d+)", answer)
        answer = re.sub(r"a=ssrc(-group)?:.*\r\n", "", answer)
        sources = [str(SSRC)] + ([retransmissions[1]] if retransmissions else [])
        if retransmissions:
            answer += f"a=ssrc-group:FID {' '.join(sources)}\r\n"
        answer += "".join(f"a=ssrc:{source} cname:webrtcbin\r\n" for source in sources)
        return name, answer

    def certify(self, _webrtc, _bin, element):
        factory = element.get_factory()
        if factory and factory.get_name() in ("dtlssrtpdec", "dtlsdec"):
            element.set_property("pem", self.certificate)

    def changed(self, name):
        states = GstWebRTC.WebRTCPeerConnectionState
        viewer = self.viewers.get(name)
        if viewer and viewer[1].get_property("connection-state") in (states.FAILED, states.CLOSED, states.DISCONNECTED):
            GLib.idle_add(self.leave, name)

    def leave(self, name):
        with self.lock:
            viewer = self.viewers.pop(name, None)
        if viewer is None:
            return
        queue, webrtc, tee_pad = viewer
        tee_pad.add_probe(Gst.PadProbeType.BLOCK_DOWNSTREAM, self.unlink, (queue, webrtc))

    def unlink(self, tee_pad, _info, elements):
        queue, webrtc = elements
        tee_pad.unlink(queue.get_static_pad("sink"))
        self.tee.release_request_pad(tee_pad)
        GLib.idle_add(self.remove, elements)
        return Gst.PadProbeReturn.REMOVE

    def remove(self, elements):
        for element in reversed(elements):
            element.set_state(Gst.State.NULL)
            self.pipeline.remove(element)


def fingerprint(pem):
    """As SDP has it, of the certificate in a file that has a key as well."""
    certificate = pem[pem.index("-----BEGIN CERTIFICATE") :]
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).digest().hex(":").upper()


def call(webrtc, action, argument):
    """An asynchronous action of webrtcbin, waited for."""
    promise = Gst.Promise.new()
    webrtc.emit(action, argument, promise)
    promise.wait()
    reply = promise.get_reply()
    if reply is not None and reply.has_field("error"):
        raise RuntimeError(f"{action}: {reply.get_value('error').message}")
    return promise


def is_gathered(webrtc):
    return webrtc.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE


def h264_payload_type(offer):
    """The offer's payload type for constrained baseline in packetisation mode 1."""
    for number, parameters in re.findall(r"a=fmtp:(\d+) (\S.*)", offer):
        if "packetization-mode=1" in parameters and "profile-level-id=42e0" in parameters.lower():
            return int(number)
    raise ValueError("no H.264 in the offer that would fit")


class Whep(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        try:
            name, answer = self.server.media.join(body)
        except Exception as error:  # whatever it is, it belongs into the answer
            return self.reply(406, str(error), "text/plain")
        self.reply(201, answer, "application/sdp", ("Location", f"/whep/{name}"))

    def do_DELETE(self):
        GLib.idle_add(self.server.media.leave, self.path.rsplit("/", 1)[-1])
        self.reply(200, "", "text/plain")

    def do_OPTIONS(self):
        self.reply(204, "", "text/plain")

    def reply(self, status, body, content_type, *headers):
        self.send_response(status)
        allow = [(f"Access-Control-Allow-{what}", "*") for what in ("Origin", "Headers", "Methods")]
        for name, value in [*headers, *allow, ("Content-Type", content_type), ("Content-Length", str(len(body)))]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--listen", required=True)
    parser.add_argument("--rtp", type=int)
    parser.add_argument("--raw")
    parser.add_argument("--kbps", type=int, default=2000)
    options = parser.parse_args()
    Gst.init(None)
    address, port = options.listen.rsplit(":", 1)
    server = ThreadingHTTPServer((address, int(port)), Whep)
    server.media = Server(options)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    loop = GLib.MainLoop()
    bus = server.media.pipeline.get_bus()
    bus.add_signal_watch()
    bus.connect("message::error", lambda _, message: (print(message.parse_error(), file=sys.stderr), loop.quit()))
    bus.connect("message::eos", lambda *_: loop.quit())
    print(f"ready {os.getpid()}", flush=True)
    loop.run()


main()
