/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What a server has been given, should it be lost on the way there and come again: heads and the
 * lines of chunks must be the same, content may be any.
 */
#pragma once

#include "stream_judge.h"

#define MAX_WINDOW (1u << 30) /* RFC 7323, 2.3 */
#define WALK_STEPS 256

MAP(_whole, PERCPU_ARRAY, __u32, struct http_held, 1, 0);

static __always_inline struct http_held *get_whole(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&_whole, &zero);
}

static __always_inline int is_behind_or_at(__u32 seq, __u32 other)
{
	return (__s32)(seq - other) <= 0;
}

/*
 * What the server has is known by its number alone. Under this, whatever else is known lies within
 * a window of numbers, which come again after 4 GiB.
 */
static __always_inline void forget_acknowledged(struct http_judged *judged)
{
	__u32 acked = judged->acked;

	if (is_behind_or_at(judged->recent + judged->recent_size, acked)) {
		judged->recent_size = 0;
		judged->joined = 0;
	}
	if (is_behind_or_at(judged->content_end, acked))
		judged->content_end = acked;
	if (is_behind_or_at(judged->content, acked))
		judged->content = acked;
}

/* --- heads --- */

static __always_inline void load_recent(struct __sk_buff *skb, struct http_judged *judged, __u32 at,
					__u32 size)
{
	judged->recent_size = 0;
	barrier_var(size);
	if (size >= 1 && size <= HTTP_RECENT && !bpf_skb_load_bytes(skb, at, judged->last, size))
		judged->recent_size = size;
}

/* Behind what has yet to be acknowledged. Returns 0 if there was room for it. */
static __always_inline int load_behind(struct __sk_buff *skb, struct http_judged *judged, __u32 at,
				       __u32 size)
{
	__u32 known = judged->recent_size;

	barrier_var(size);
	barrier_var(known);
	if (size < 1 || size > HTTP_RECENT / 2 || known > HTTP_RECENT / 2 ||
	    bpf_skb_load_bytes(skb, at, judged->last + known, size))
		return 1;
	judged->recent_size = known + size;
	return 0;
}

/*
 * What is given now, should the packet be lost behind this point: of `size` bytes the heads, and
 * what follows these if there is room.
 */
static __always_inline void remember(struct __sk_buff *skb, struct http_judged *judged, __u32 at,
				     __u32 seq, __u32 heads, __u32 size)
{
	__u32 end = judged->recent + judged->recent_size;

	if (seq == end && !is_behind_or_at(end, judged->acked) &&
	    !load_behind(skb, judged, at, size > HTTP_RECENT / 2 ? heads : size))
		return;
	judged->recent = seq;
	judged->joined = 0;
	load_recent(skb, judged, at, size > HTTP_RECENT ? heads : size);
}

struct comparing {
	const __u8 *given, *bytes;
	__u32 from, left;
};

static long compare_next(__u32 index, void *context)
{
	struct comparing *comparing = context;
	__u32 at = index, there = comparing->from + index;

	barrier_var(at);
	barrier_var(there);
	if (!comparing->left || at >= HTTP_RECENT || there >= HTTP_RECENT ||
	    comparing->given[there] != comparing->bytes[at])
		return 1;
	comparing->left--;
	return 0;
}

/* How many of the segment's bytes from `seq` on are remembered; 0 if they differ. */
static __noinline __u32 count_same(struct __sk_buff *skb, const struct http_judged *judged,
				   const struct said *segment, __u32 seq, __u32 size)
{
	struct http_held *whole = get_whole();
	__u32 from = seq - judged->recent;
	struct comparing comparing = {.given = judged->last, .from = from};

	if (!whole || from >= judged->recent_size)
		return 0;
	if (size > judged->recent_size - from)
		size = judged->recent_size - from;
	comparing.left = size;
	barrier_var(size);
	if (size < 1 || size > HTTP_RECENT ||
	    bpf_skb_load_bytes(skb, segment->at + seq - segment->seq, whole->bytes, size))
		return 0;
	comparing.bytes = whole->bytes;
	bpf_loop(HTTP_RECENT, compare_next, &comparing, 0);
	return comparing.left ? 0 : size;
}

/* --- content --- */

/* The server may be given content in any order. */
static __always_inline void note_content(struct http_judged *judged, __u32 seq, __u32 size)
{
	if (judged->content_end != seq) {
		judged->content = seq;
		judged->lines = 0;
	}
	judged->content_end = seq + size;
	if (judged->content_end - judged->content > MAX_WINDOW)
		judged->content = judged->content_end - MAX_WINDOW;
}

static const struct http_lines no_lines;

static __always_inline struct http_lines *get_lines(const struct ct_key *key)
{
	struct http_lines *found = bpf_map_lookup_elem(&http_lines, key);

	if (found)
		return found;
	bpf_map_update_elem(&http_lines, key, &no_lines, BPF_NOEXIST);
	return bpf_map_lookup_elem(&http_lines, key);
}

/* A line takes the place of the oldest one, behind which all is known from then on. */
static __always_inline struct http_chunk_line *next_line(struct http_judged *judged,
							 struct http_lines *lines)
{
	struct http_chunk_line *line = &lines->line[judged->lines % HTTP_CHUNK_LINES];
	__u32 end = line->seq + line->size;

	if (judged->lines >= HTTP_CHUNK_LINES && is_behind_or_at(judged->content, end))
		judged->content = end;
	lines->total = ++judged->lines;
	return line;
}

/* What has been read from there on is no content, but between the parts of some. */
static __noinline int note_line(const struct reading *reading, __u32 from)
{
	const struct progress *progress = &reading->watching->progress;
	struct http_judged *judged = reading->judged;
	__u32 seq = judged->talk.next + from, size = progress->read - from;
	struct http_lines *lines = get_lines(&reading->watching->key);
	struct http_chunk_line *line;

	barrier_var(size);
	if (!lines || size < 1 || size > HTTP_CHUNK_LINE)
		return 1;
	if (judged->content_end != seq || lines->total != judged->lines) {
		judged->content = seq;
		judged->lines = 0;
	}
	line = next_line(judged, lines);
	line->seq = seq;
	line->size = size;
	judged->content_end = seq + size;
	return bpf_skb_load_bytes(reading->skb, progress->at + from, line->bytes, size);
}

/* --- all of it --- */

struct finding {
	const struct http_lines *lines;
	const struct http_chunk_line *line; /* that has the byte at `seq` */
	__u32 seq;
	__u32 next; /* or where the next line begins */
};

/* From the last one on: it counts if numbers come again. */
static long find_line(__u32 index, void *context)
{
	struct finding *finding = context;
	__u32 at = (finding->lines->total - 1 - index) % HTTP_CHUNK_LINES;
	const struct http_chunk_line *line = &finding->lines->line[at];

	if (index >= finding->lines->total)
		return 1;
	if (finding->seq - line->seq < line->size) {
		finding->line = line;
		return 1;
	}
	if (!is_behind_or_at(line->seq, finding->seq) && line->seq - finding->seq < finding->next)
		finding->next = line->seq - finding->seq;
	return 0;
}

struct walking {
	struct __sk_buff *skb;
	const struct http_judged *judged;
	const struct said *segment;
	const struct http_lines *lines;
	__u32 seq, end;
};

/* How many of the segment's bytes are those of the line. */
static __noinline __u32 count_line(const struct walking *walking,
				   const struct http_chunk_line *line)
{
	__u32 from = walking->seq - line->seq, size = line->size - from, same = 0;
	__u8 bytes[HTTP_CHUNK_LINE + 1];

	if (size > walking->end - walking->seq)
		size = walking->end - walking->seq;
	barrier_var(size);
	if (size < 1 || size > HTTP_CHUNK_LINE ||
	    bpf_skb_load_bytes(walking->skb,
			       walking->segment->at + walking->seq - walking->segment->seq, bytes,
			       size))
		return 0;
	for (; same < HTTP_CHUNK_LINE && same < size; same++) {
		__u32 at = from + same;

		barrier_var(at);
		if (at >= HTTP_CHUNK_LINE || line->bytes[at] != bytes[same])
			return 0;
	}
	return same;
}

/* How many bytes at walking->seq are content that the server has been given, or a line of that. */
static __always_inline __u32 count_content(const struct walking *walking)
{
	struct finding finding = {.lines = walking->lines, .seq = walking->seq};

	if (walking->judged->lines && !finding.lines)
		return 0;
	finding.next = walking->judged->content_end - walking->seq;
	if (walking->judged->lines)
		bpf_loop(HTTP_CHUNK_LINES, find_line, &finding, 0);
	return finding.line ? count_line(walking, finding.line) : finding.next;
}

static long walk_on(__u32 index __attribute__((unused)), void *context)
{
	struct walking *walking = context;
	const struct http_judged *judged = walking->judged;
	__u32 seq = walking->seq, more;

	if (is_behind_or_at(walking->end, seq))
		return 1;
	if (is_behind_or_at(seq, judged->acked) && seq != judged->acked) {
		walking->seq = judged->acked;
		return 0;
	}
	if (seq - judged->content < judged->content_end - judged->content)
		more = count_content(walking);
	else
		more = count_same(walking->skb, judged, walking->segment, seq, walking->end - seq);
	walking->seq = seq + more;
	return !more;
}

/* The first bytes of a segment may be given again: the server has them, or they are the same. */
static __noinline int may_come_again(struct __sk_buff *skb, const struct watching *watching,
				     const struct http_judged *judged, __u32 size)
{
	struct walking walking = {.skb = skb, .judged = judged, .segment = &watching->segment};

	walking.lines = judged->lines ? bpf_map_lookup_elem(&http_lines, &watching->key) : 0;
	if (walking.lines && walking.lines->total != judged->lines)
		walking.lines = 0;
	walking.seq = walking.segment->seq;
	walking.end = walking.seq + size;
	bpf_loop(WALK_STEPS, walk_on, &walking, 0);
	return is_behind_or_at(walking.end, walking.seq);
}
