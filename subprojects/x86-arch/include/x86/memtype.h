/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory type encodings shared by MTRRs, the PAT and EPT (SDM "Methods of Caching Available"). */
#pragma once

#include <x86/types.h>

enum memtype : u8 {
	MEMTYPE_UC = 0,
	MEMTYPE_WC = 1,
	MEMTYPE_WT = 4,
	MEMTYPE_WP = 5,
	MEMTYPE_WB = 6,
};
