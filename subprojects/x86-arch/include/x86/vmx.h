/* SPDX-License-Identifier: BSD-2-Clause */
/* VMX controls, capabilities, exit reasons and event formats. SDM volume 3, the VMX chapters. */
#pragma once

#include <x86/types.h>

/* IA32_VMX_BASIC. SDM "Basic VMX Information". */
#define VMX_BASIC_REVISION    BITS(30, 0)
#define VMX_BASIC_REGION_SIZE BITS(44, 32)
#define VMX_BASIC_32BIT_ADDR  BIT(48)
#define VMX_BASIC_MEMTYPE     BITS(53, 50)
#define VMX_BASIC_INS_OUTS    BIT(54)
#define VMX_BASIC_TRUE_CTLS   BIT(55)
/* Hardware exceptions may be injected with or without an error code, whatever the vector. */
#define VMX_BASIC_ANY_ERROR_CODE BIT(56)

/* IA32_VMX_MISC. SDM "Miscellaneous Data". */
#define VMX_MISC_PREEMPTION_RATE BITS(4, 0)
#define VMX_MISC_SAVE_LMA        BIT(5)
#define VMX_MISC_HLT             BIT(6)
#define VMX_MISC_SHUTDOWN        BIT(7)
#define VMX_MISC_WAIT_SIPI       BIT(8)
#define VMX_MISC_PT              BIT(14)
#define VMX_MISC_CR3_TARGETS     BITS(24, 16)
#define VMX_MISC_MSR_LIST_MAX    BITS(27, 25)
#define VMX_MISC_VMWRITE_RO      BIT(29)
#define VMX_MISC_ZERO_LEN_INJECT BIT(30)

/* IA32_VMX_EPT_VPID_CAP. SDM "VPID and EPT Capabilities". */
#define EPT_CAP_EXEC_ONLY       BIT(0)
#define EPT_CAP_WALK_4          BIT(6)
#define EPT_CAP_WALK_5          BIT(7)
#define EPT_CAP_UC              BIT(8)
#define EPT_CAP_WB              BIT(14)
#define EPT_CAP_2M              BIT(16)
#define EPT_CAP_1G              BIT(17)
#define EPT_CAP_INVEPT          BIT(20)
#define EPT_CAP_AD              BIT(21)
#define EPT_CAP_ADV_VIOLATION   BIT(22)
#define EPT_CAP_SHADOW_STACK    BIT(23)
#define EPT_CAP_INVEPT_SINGLE   BIT(25)
#define EPT_CAP_INVEPT_ALL      BIT(26)
#define VPID_CAP_INVVPID        BIT(32)
#define VPID_CAP_ADDRESS        BIT(40)
#define VPID_CAP_SINGLE         BIT(41)
#define VPID_CAP_ALL            BIT(42)
#define VPID_CAP_SINGLE_GLOBALS BIT(43)

/* SDM "Pin-Based VM-Execution Controls". */
#define PIN_EXT_INTR_EXITING BIT(0)
#define PIN_NMI_EXITING      BIT(3)
#define PIN_VIRTUAL_NMIS     BIT(5)
#define PIN_PREEMPTION_TIMER BIT(6)
#define PIN_POSTED_INTR      BIT(7)

/* SDM "Processor-Based VM-Execution Controls", primary. */
#define CPU_INTR_WINDOW_EXITING BIT(2)
#define CPU_TSC_OFFSETTING      BIT(3)
#define CPU_HLT_EXITING         BIT(7)
#define CPU_INVLPG_EXITING      BIT(9)
#define CPU_MWAIT_EXITING       BIT(10)
#define CPU_RDPMC_EXITING       BIT(11)
#define CPU_RDTSC_EXITING       BIT(12)
#define CPU_CR3_LOAD_EXITING    BIT(15)
#define CPU_CR3_STORE_EXITING   BIT(16)
#define CPU_TERTIARY_CONTROLS   BIT(17)
#define CPU_CR8_LOAD_EXITING    BIT(19)
#define CPU_CR8_STORE_EXITING   BIT(20)
#define CPU_TPR_SHADOW          BIT(21)
#define CPU_NMI_WINDOW_EXITING  BIT(22)
#define CPU_MOV_DR_EXITING      BIT(23)
#define CPU_UNCOND_IO_EXITING   BIT(24)
#define CPU_USE_IO_BITMAPS      BIT(25)
#define CPU_MONITOR_TRAP_FLAG   BIT(27)
#define CPU_USE_MSR_BITMAPS     BIT(28)
#define CPU_MONITOR_EXITING     BIT(29)
#define CPU_PAUSE_EXITING       BIT(30)
#define CPU_SECONDARY_CONTROLS  BIT(31)

/* Secondary. */
#define CPU2_VIRTUAL_APIC_ACCESSES    BIT(0)
#define CPU2_EPT                      BIT(1)
#define CPU2_DESCRIPTOR_TABLE_EXITING BIT(2)
#define CPU2_RDTSCP                   BIT(3)
#define CPU2_VIRTUAL_X2APIC           BIT(4)
#define CPU2_VPID                     BIT(5)
#define CPU2_WBINVD_EXITING           BIT(6)
#define CPU2_UNRESTRICTED_GUEST       BIT(7)
#define CPU2_APIC_REGISTER_VIRT       BIT(8)
#define CPU2_VIRTUAL_INTR_DELIVERY    BIT(9)
#define CPU2_PAUSE_LOOP_EXITING       BIT(10)
#define CPU2_RDRAND_EXITING           BIT(11)
#define CPU2_INVPCID                  BIT(12)
#define CPU2_VM_FUNCTIONS             BIT(13)
#define CPU2_VMCS_SHADOWING           BIT(14)
#define CPU2_ENCLS_EXITING            BIT(15)
#define CPU2_RDSEED_EXITING           BIT(16)
#define CPU2_PML                      BIT(17)
#define CPU2_EPT_VIOLATION_VE         BIT(18)
#define CPU2_CONCEAL_PT               BIT(19)
#define CPU2_XSAVES                   BIT(20)
#define CPU2_PASID_TRANSLATION        BIT(21)
#define CPU2_MBEC                     BIT(22)
#define CPU2_SUB_PAGE_WRITE           BIT(23)
#define CPU2_PT_GUEST_PHYSICAL        BIT(24)
#define CPU2_TSC_SCALING              BIT(25)
#define CPU2_USER_WAIT_PAUSE          BIT(26)
#define CPU2_PCONFIG                  BIT(27)
#define CPU2_ENCLV_EXITING            BIT(28)
#define CPU2_BUS_LOCK_EXITING         BIT(30)
#define CPU2_INSTRUCTION_TIMEOUT      BIT(31)

/* Tertiary. */
#define CPU3_LOADIWKEY_EXITING         BIT(0)
#define CPU3_HLAT                      BIT(1)
#define CPU3_EPT_PAGING_WRITE          BIT(2)
#define CPU3_GUEST_PAGING_VERIFICATION BIT(3)
#define CPU3_IPI_VIRTUALIZATION        BIT(4)
#define CPU3_SEAM_GPA_WIDTH            BIT(5)
#define CPU3_MSR_LIST                  BIT(6)
#define CPU3_VIRTUALIZE_SPEC_CTRL      BIT(7)

/* IA32_VMX_VMFUNC. SDM "VM Functions". */
#define VMFUNC_EPTP_SWITCHING BIT(0)

/* SDM "Primary VM-Exit Controls". */
#define EXIT_SAVE_DEBUG_CONTROLS   BIT(2)
#define EXIT_HOST_64BIT            BIT(9)
#define EXIT_LOAD_PERF_GLOBAL_CTRL BIT(12)
#define EXIT_ACK_INTR              BIT(15)
#define EXIT_SAVE_PAT              BIT(18)
#define EXIT_LOAD_PAT              BIT(19)
#define EXIT_SAVE_EFER             BIT(20)
#define EXIT_LOAD_EFER             BIT(21)
#define EXIT_SAVE_PREEMPTION_TIMER BIT(22)
#define EXIT_CLEAR_BNDCFGS         BIT(23)
#define EXIT_CONCEAL_PT            BIT(24)
#define EXIT_CLEAR_RTIT_CTL        BIT(25)
#define EXIT_CLEAR_LBR_CTL         BIT(26)
#define EXIT_CLEAR_UINV            BIT(27)
#define EXIT_LOAD_CET              BIT(28)
#define EXIT_LOAD_PKRS             BIT(29)
#define EXIT_SAVE_PERF_GLOBAL_CTRL BIT(30)
#define EXIT_SECONDARY_CONTROLS    BIT(31)

/* SDM "Secondary VM-Exit Controls". */
#define EXIT2_BUSY_SHADOW_STACK BIT(3)

/* SDM "VM-Entry Controls". */
#define ENTRY_LOAD_DEBUG_CONTROLS   BIT(2)
#define ENTRY_IA32E_GUEST           BIT(9)
#define ENTRY_SMM                   BIT(10)
#define ENTRY_DEACTIVATE_DUAL_SMM   BIT(11)
#define ENTRY_LOAD_PERF_GLOBAL_CTRL BIT(13)
#define ENTRY_LOAD_PAT              BIT(14)
#define ENTRY_LOAD_EFER             BIT(15)
#define ENTRY_LOAD_BNDCFGS          BIT(16)
#define ENTRY_CONCEAL_PT            BIT(17)
#define ENTRY_LOAD_RTIT_CTL         BIT(18)
#define ENTRY_LOAD_UINV             BIT(19)
#define ENTRY_LOAD_CET              BIT(20)
#define ENTRY_LOAD_LBR_CTL          BIT(21)
#define ENTRY_LOAD_PKRS             BIT(22)

/* VM-entry interruption-information and VM-exit interruption-information, IDT-vectoring too. */
#define INTR_INFO_VECTOR       BITS(7, 0)
#define INTR_INFO_TYPE         BITS(10, 8)
#define INTR_INFO_ERROR_CODE   BIT(11)
#define INTR_INFO_NMI_UNBLOCK  BIT(12)
#define INTR_INFO_VALID        BIT(31)
#define INTR_TYPE_EXTERNAL     (0u << 8)
#define INTR_TYPE_NMI          (2u << 8)
#define INTR_TYPE_HW_EXCEPTION (3u << 8)
#define INTR_TYPE_SW_INTERRUPT (4u << 8)
#define INTR_TYPE_PRIV_SW_EXC  (5u << 8)
#define INTR_TYPE_SW_EXCEPTION (6u << 8)
#define INTR_TYPE_OTHER        (7u << 8)

/* Exit reason field. SDM "Basic VM-Exit Information". */
#define EXIT_REASON_BASIC      BITS(15, 0)
#define EXIT_REASON_BUS_LOCK   BIT(26)
#define EXIT_REASON_ENTRY_FAIL BIT(31)

/* SDM appendix "VMX Basic Exit Reasons", in its order. */
#define VMX_EXIT_REASONS(X)                                              \
	X(0, EXCEPTION_NMI, "exception or NMI")                          \
	X(1, EXTERNAL_INTERRUPT, "external interrupt")                   \
	X(2, TRIPLE_FAULT, "triple fault")                               \
	X(3, INIT, "INIT signal")                                        \
	X(4, SIPI, "start-up IPI")                                       \
	X(5, IO_SMI, "I/O SMI")                                          \
	X(6, OTHER_SMI, "other SMI")                                     \
	X(7, INTERRUPT_WINDOW, "interrupt window")                       \
	X(8, NMI_WINDOW, "NMI window")                                   \
	X(9, TASK_SWITCH, "task switch")                                 \
	X(10, CPUID, "CPUID")                                            \
	X(11, GETSEC, "GETSEC")                                          \
	X(12, HLT, "HLT")                                                \
	X(13, INVD, "INVD")                                              \
	X(14, INVLPG, "INVLPG")                                          \
	X(15, RDPMC, "RDPMC")                                            \
	X(16, RDTSC, "RDTSC")                                            \
	X(17, RSM, "RSM")                                                \
	X(18, VMCALL, "VMCALL")                                          \
	X(19, VMCLEAR, "VMCLEAR")                                        \
	X(20, VMLAUNCH, "VMLAUNCH")                                      \
	X(21, VMPTRLD, "VMPTRLD")                                        \
	X(22, VMPTRST, "VMPTRST")                                        \
	X(23, VMREAD, "VMREAD")                                          \
	X(24, VMRESUME, "VMRESUME")                                      \
	X(25, VMWRITE, "VMWRITE")                                        \
	X(26, VMXOFF, "VMXOFF")                                          \
	X(27, VMXON, "VMXON")                                            \
	X(28, CR_ACCESS, "control-register access")                      \
	X(29, MOV_DR, "MOV DR")                                          \
	X(30, IO_INSTRUCTION, "I/O instruction")                         \
	X(31, RDMSR, "RDMSR")                                            \
	X(32, WRMSR, "WRMSR")                                            \
	X(33, ENTRY_FAIL_GUEST, "VM-entry failure: invalid guest state") \
	X(34, ENTRY_FAIL_MSR, "VM-entry failure: MSR loading")           \
	X(36, MWAIT, "MWAIT")                                            \
	X(37, MONITOR_TRAP_FLAG, "monitor trap flag")                    \
	X(39, MONITOR, "MONITOR")                                        \
	X(40, PAUSE, "PAUSE")                                            \
	X(41, ENTRY_FAIL_MCE, "VM-entry failure: machine-check event")   \
	X(43, TPR_BELOW_THRESHOLD, "TPR below threshold")                \
	X(44, APIC_ACCESS, "APIC access")                                \
	X(45, VIRTUALIZED_EOI, "virtualized EOI")                        \
	X(46, GDTR_IDTR, "GDTR or IDTR access")                          \
	X(47, LDTR_TR, "LDTR or TR access")                              \
	X(48, EPT_VIOLATION, "EPT violation")                            \
	X(49, EPT_MISCONFIG, "EPT misconfiguration")                     \
	X(50, INVEPT, "INVEPT")                                          \
	X(51, RDTSCP, "RDTSCP")                                          \
	X(52, PREEMPTION_TIMER, "VMX-preemption timer")                  \
	X(53, INVVPID, "INVVPID")                                        \
	X(54, WBINVD, "WBINVD or WBNOINVD")                              \
	X(55, XSETBV, "XSETBV")                                          \
	X(56, APIC_WRITE, "APIC write")                                  \
	X(57, RDRAND, "RDRAND")                                          \
	X(58, INVPCID, "INVPCID")                                        \
	X(59, VMFUNC, "VMFUNC")                                          \
	X(60, ENCLS, "ENCLS")                                            \
	X(61, RDSEED, "RDSEED")                                          \
	X(62, PML_FULL, "page-modification log full")                    \
	X(63, XSAVES, "XSAVES")                                          \
	X(64, XRSTORS, "XRSTORS")                                        \
	X(65, PCONFIG, "PCONFIG")                                        \
	X(66, SPP, "sub-page write permission")                          \
	X(67, UMWAIT, "UMWAIT")                                          \
	X(68, TPAUSE, "TPAUSE")                                          \
	X(69, LOADIWKEY, "LOADIWKEY")                                    \
	X(70, ENCLV, "ENCLV")                                            \
	X(72, ENQCMD_PASID, "ENQCMD PASID translation")                  \
	X(73, ENQCMDS_PASID, "ENQCMDS PASID translation")                \
	X(74, BUS_LOCK, "bus lock")                                      \
	X(75, INSTRUCTION_TIMEOUT, "instruction timeout")                \
	X(76, SEAMCALL, "SEAMCALL")                                      \
	X(77, TDCALL, "TDCALL")                                          \
	X(78, RDMSRLIST, "RDMSRLIST")                                    \
	X(79, WRMSRLIST, "WRMSRLIST")                                    \
	X(80, URDMSR, "URDMSR")                                          \
	X(81, UWRMSR, "UWRMSR")                                          \
	X(84, RDMSR_IMM, "RDMSR with an immediate")                      \
	X(85, WRMSRNS_IMM, "WRMSRNS with an immediate")

enum exit_reason {
#define X(number, name, text) REASON_##name = number,
	VMX_EXIT_REASONS(X)
#undef X
		REASON_COUNT
};

/* VM-instruction error numbers. SDM "VM Instruction Error Numbers". */
enum vm_instruction_error {
	VMERR_VMCALL_IN_ROOT = 1,
	VMERR_VMCLEAR_INVALID_ADDRESS = 2,
	VMERR_VMCLEAR_VMXON_POINTER = 3,
	VMERR_VMLAUNCH_NOT_CLEAR = 4,
	VMERR_VMRESUME_NOT_LAUNCHED = 5,
	VMERR_VMRESUME_AFTER_VMXOFF = 6,
	VMERR_ENTRY_INVALID_CONTROL = 7,
	VMERR_ENTRY_INVALID_HOST_STATE = 8,
	VMERR_VMPTRLD_INVALID_ADDRESS = 9,
	VMERR_VMPTRLD_VMXON_POINTER = 10,
	VMERR_VMPTRLD_WRONG_REVISION = 11,
	VMERR_UNSUPPORTED_FIELD = 12,
	VMERR_VMWRITE_READ_ONLY = 13,
	VMERR_VMXON_IN_ROOT = 15,
	VMERR_ENTRY_INVALID_EXECUTIVE = 16,
	VMERR_ENTRY_NONLAUNCHED_EXECUTIVE = 17,
	VMERR_ENTRY_EXECUTIVE_NOT_VMXON = 18,
	VMERR_VMCALL_NON_CLEAR = 19,
	VMERR_VMCALL_INVALID_EXIT_CONTROLS = 20,
	VMERR_VMCALL_WRONG_MSEG_REVISION = 22,
	VMERR_VMXOFF_DUAL_SMM = 23,
	VMERR_VMCALL_INVALID_SMM_FEATURES = 24,
	VMERR_ENTRY_INVALID_EXECUTIVE_CONTROLS = 25,
	VMERR_ENTRY_MOV_SS = 26,
	VMERR_INVALID_INVEPT_INVVPID = 28,
};

/* Control-register access qualification. */
#define CR_ACCESS_NUMBER BITS(3, 0)
#define CR_ACCESS_TYPE   BITS(5, 4)
enum cr_access_type {
	CR_ACCESS_MOV_TO = 0,
	CR_ACCESS_MOV_FROM = 1,
	CR_ACCESS_CLTS = 2,
	CR_ACCESS_LMSW = 3,
};

/* INVEPT and INVVPID types. */
enum invept_type {
	INVEPT_SINGLE_CONTEXT = 1,
	INVEPT_ALL_CONTEXT = 2,
};
enum invvpid_type {
	INVVPID_ADDRESS = 0,
	INVVPID_SINGLE_CONTEXT = 1,
	INVVPID_ALL_CONTEXT = 2,
	INVVPID_SINGLE_RETAIN_GLOBALS = 3,
};

/* SDM "I/O-Bitmap Addresses": bitmaps A and B, a page each. */
enum {
	IO_BITMAP_PAGES = 2,
	IO_BITMAP_PORTS = 0x8000, /* in one of them */
};

/* SDM "Exit Qualification for I/O Instructions". */
enum {
	IO_SIZE = 7, /* one less than the bytes */
	IO_IN = 1 << 3,
	IO_STRING = 1 << 4,
	IO_REP = 1 << 5,
	IO_PORT_SHIFT = 16,
};
