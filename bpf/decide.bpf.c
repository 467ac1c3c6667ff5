/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "maps.h"
char LICENSE[] SEC("license") = "Dual BSD/GPL";
