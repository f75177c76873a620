package peer

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pion/logging"
	"github.com/pion/webrtc/v4"
)

// streamID names the stream of everything a peer sends (RFC 8830).
const streamID = "rtcdev-peer"

// worsePatience is more than a round trip of a local network.
const worsePatience = 100 * time.Millisecond

// videoFeedback is what browsers offer for video, apart from bandwidth estimation by
// REMB: RFC 4585 §6.2 and §6.3.1, RFC 5104 §4.3.1.
func videoFeedback() []webrtc.RTCPFeedback {
	return []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "ccm", Parameter: "fir"}}
}

func vp8Codec() webrtc.RTPCodecParameters {
	return webrtc.RTPCodecParameters{PayloadType: 96, RTPCodecCapability: webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeVP8, ClockRate: videoClock, RTCPFeedback: videoFeedback()}}
}

func pcmuCodec() webrtc.RTPCodecParameters {
	return webrtc.RTPCodecParameters{PayloadType: 0, RTPCodecCapability: webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypePCMU, ClockRate: toneRate}}
}

// newAPI sets pion up for a peer that uses these servers, by this network.
func newAPI(network *boundNet, mode Mode, servers []webrtc.ICEServer, signal *url.URL) (*webrtc.API, error) {
	media := &webrtc.MediaEngine{}
	rtx := webrtc.RTPCodecParameters{PayloadType: 97, RTPCodecCapability: webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeRTX, ClockRate: videoClock, SDPFmtpLine: "apt=96"}}
	opus := webrtc.RTPCodecParameters{PayloadType: 111, RTPCodecCapability: webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1"}}
	audio := []webrtc.RTPCodecParameters{opus, pcmuCodec()}
	if mode == Pattern {
		audio[0], audio[1] = audio[1], audio[0]
	}
	for _, c := range []webrtc.RTPCodecParameters{vp8Codec(), rtx} {
		if err := media.RegisterCodec(c, webrtc.RTPCodecTypeVideo); err != nil {
			return nil, fmt.Errorf("registering %s: %w", c.MimeType, err)
		}
	}
	for _, c := range audio {
		if err := media.RegisterCodec(c, webrtc.RTPCodecTypeAudio); err != nil {
			return nil, fmt.Errorf("registering %s: %w", c.MimeType, err)
		}
	}
	settings := webrtc.SettingEngine{LoggerFactory: &logging.DefaultLoggerFactory{DefaultLogLevel: logging.LogLevelDisabled}}
	settings.SetNet(network)
	settings.DisableActiveTCP(true)                // browsers offer no candidates for it, and hasten relies on that
	settings.SetICEMaxBindingRequests(7 + 4*looks) // 7 is pion's own; hasten adds some with each of the first candidates
	// How long a pair of worse candidates is kept waiting for a better one. pion's own are
	// up to 2 s; who waits for a test peer would rather see it.
	settings.SetPrflxAcceptanceMinWait(worsePatience)
	settings.SetSrflxAcceptanceMinWait(worsePatience)
	settings.SetRelayAcceptanceMinWait(2 * worsePatience)
	// The address of who says hello has been checked by ICE.
	settings.SetDTLSInsecureSkipHelloVerify(true)
	connected, err := network.connected()
	if err != nil {
		return nil, err
	}
	// 127.0.0.1 is for peers of a machine without any network. Firefox answers a check from
	// there, and so has the pair nominated, but completes no check of its own to there: it
	// would wait for ever.
	settings.SetIncludeLoopbackCandidate(isLoopback(signal.Hostname()) && !connected)
	low, high := portRange(takenPorts(servers, signal))
	if err = settings.SetEphemeralUDPPortRange(low, high); err != nil {
		return nil, fmt.Errorf("choosing ports: %w", err)
	}
	return webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithSettingEngine(settings)), nil
}

// isLoopback tells whether the server is on this machine only: others in its rooms are
// here then, too, perhaps without any network.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

// takenPorts are the ports of the servers, for whose addresses ICE must not use them.
func takenPorts(servers []webrtc.ICEServer, signal *url.URL) []uint16 {
	var taken []uint16
	add := func(port string) {
		if n, err := strconv.ParseUint(port, 10, 16); err == nil {
			taken = append(taken, uint16(n))
		}
	}
	add(signal.Port())
	for _, s := range servers {
		for _, u := range s.URLs { // turn:host:port?transport=udp (RFC 7065 §3.1)
			address, _, _ := strings.Cut(u, "?")
			_, address, _ = strings.Cut(address, ":")
			if _, port, err := net.SplitHostPort(address); err == nil {
				add(port)
			}
		}
	}
	return taken
}

// portRange is the part of the dynamic ports (RFC 6335 §6) for ICE sockets: the longest
// run with none of the taken ones in it.
func portRange(taken []uint16) (low, high uint16) {
	const first, last = 49152, 65535
	from := uint32(first)
	low, high = first, first
	for port := uint32(first); port <= last+1; port++ {
		if port <= last && !slices.Contains(taken, uint16(port)) {
			continue
		}
		if port > from && port-1-from > uint32(high-low) {
			low, high = uint16(from), uint16(port-1)
		}
		from = port + 1
	}
	return low, high
}

func addressOf(c *webrtc.ICECandidate) string {
	if ip, err := netip.ParseAddr(c.Address); err == nil {
		return netip.AddrPortFrom(ip, c.Port).String()
	}
	return net.JoinHostPort(c.Address, strconv.Itoa(int(c.Port)))
}
