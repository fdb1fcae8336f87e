/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* Logs the current VMCS's exit information and guest state, decoded. */
void vmcs_dump(void);
