/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* How many entries each map of the machine has: the kernel counts them, nothing is walked. */
#include "maps.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct bpf_map {
	__u32 id;
} __attribute__((preserve_access_index));

struct bpf_iter_meta {
	struct seq_file *seq;
} __attribute__((preserve_access_index));

struct bpf_iter__bpf_map {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
} __attribute__((preserve_access_index));

extern __s64 bpf_map_sum_elem_count(const struct bpf_map *map) __ksym;

SEC("iter/bpf_map")
int gauge(struct bpf_iter__bpf_map *ctx)
{
	struct bpf_map *map = ctx->map;
	struct fill fill = {};

	if (!map)
		return 0;
	fill.map = map->id;
	fill.entries = bpf_map_sum_elem_count(map);
	bpf_seq_write(ctx->meta->seq, &fill, sizeof(fill));
	return 0;
}
