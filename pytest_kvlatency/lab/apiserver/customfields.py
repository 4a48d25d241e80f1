"""The fields of the custom kinds, as KubeVirt's and Multus' API has them; ``schemas`` reads the text.

A definition is ``GROUP.NAME: what it is``, a field ``name TYPE: what it is``. ``[]`` is a list, ``{}`` a map from
strings, ``any`` is not looked into, ``V1…`` is a type of Kubernetes' own.
"""

from typing import Final

TEXT: Final = """
io.cncf.cni.k8s.NetworkAttachmentDefinition: A network that pods and virtual machines can be attached to, by Multus.
  apiVersion string: The version of this API.
  kind string: NetworkAttachmentDefinition
  metadata V1ObjectMeta: Name, namespace, labels and the like.
  spec NetworkAttachmentDefinitionSpec: How the network is attached.

io.cncf.cni.k8s.NetworkAttachmentDefinitionSpec: How a network is attached.
  config string: The CNI configuration, as JSON text. Without it Multus reads a file of that name on the node.

io.kubevirt.VirtualMachineInstance: A virtual machine that runs, or is about to.
  apiVersion string: The version of this API.
  kind string: VirtualMachineInstance
  metadata V1ObjectMeta: Name, namespace, labels and the like.
  spec VirtualMachineInstanceSpec: What the virtual machine is made of, and where it may run. It cannot be changed.
  status VirtualMachineInstanceStatus: What KubeVirt knows of it.

io.kubevirt.VirtualMachineInstanceSpec: What a virtual machine is made of, and where it may run.
  accessCredentials []any: Keys and passwords that are put into the guest.
  affinity V1Affinity: Rules on the nodes, and on the neighbours, of the virtual machine's pod.
  architecture string: The processor architecture of the guest: amd64, arm64 or s390x.
  dnsConfig V1PodDNSConfig: DNS parameters of the pod.
  dnsPolicy string: How the pod resolves names.
  domain DomainSpec: The virtual hardware.
  evictionStrategy string: What a drain of the node does: None, LiveMigrate, LiveMigrateIfPossible or External.
  hostname string: The guest's host name; by default the name of the VMI.
  livenessProbe any: How to see that the guest lives.
  networks []Network: The networks that the interfaces are attached to, by name.
  nodeSelector {}string: Labels that the node must have.
  priorityClassName string: The priority of the pod.
  readinessProbe any: How to see that the guest is ready.
  resourceClaims []any: Claims of dynamic resources.
  schedulerName string: The scheduler that places the pod.
  startStrategy string: Paused starts the guest paused.
  subdomain string: The subdomain of the guest's name.
  terminationGracePeriodSeconds integer: Seconds that the guest may take to shut down.
  tolerations []V1Toleration: Taints that the pod tolerates.
  topologySpreadConstraints []V1TopologySpreadConstraint: How the pods are spread.
  utilityVolumes []any: Volumes that virt-launcher itself uses.
  volumes []Volume: The disks' contents, by name.

io.kubevirt.DomainSpec: The virtual hardware.
  chassis any: What the firmware says of the chassis.
  clock any: The guest's clock and its timers.
  cpu CPU: The processors.
  devices Devices: Disks, interfaces and other devices.
  features any: Features of the machine, such as acpi.
  firmware any: The boot firmware.
  ioThreads any: The threads of input and output.
  ioThreadsPolicy string: How they are shared: shared or auto.
  launchSecurity any: Memory encryption.
  machine Machine: The machine type.
  memory Memory: The guest's memory.
  rebootPolicy string: What a reboot of the guest does.
  resources V1ResourceRequirements: What the pod asks for.

io.kubevirt.CPU: The processors of a virtual machine.
  cores integer: Cores of each socket.
  dedicatedCpuPlacement boolean: Whether the processors are the guest's alone.
  features []any: Processor features, and how they are required.
  isolateEmulatorThread boolean: Whether the emulator has a processor of its own.
  maxSockets integer: Sockets that can be plugged in.
  model string: The processor model; host-model by default.
  numa any: The NUMA topology.
  realtime any: Real-time settings.
  sockets integer: Sockets.
  threads integer: Threads of each core.

io.kubevirt.Machine: The machine type.
  type string: q35 and the like.

io.kubevirt.Memory: The memory of a virtual machine.
  guest string: What the guest sees, such as 128Mi.
  hugepages any: The size of the pages.
  maxGuest string: How far it can be plugged in.

io.kubevirt.Devices: Disks, interfaces and other devices.
  autoattachGraphicsDevice boolean: Whether there is a graphics device.
  autoattachInputDevice boolean: Whether there is an input device.
  autoattachMemBalloon boolean: Whether there is a memory balloon.
  autoattachPodInterface boolean: Whether there is an interface on the pod network when none is given.
  autoattachSerialConsole boolean: Whether there is a serial console.
  autoattachVSOCK boolean: Whether there is a vsock device.
  blockMultiQueue boolean: Whether disks have several queues.
  clientPassthrough any: Whether devices of clients can be redirected.
  disableHotplug boolean: Whether disks cannot be plugged in.
  disks []Disk: The disks.
  downwardMetrics any: Whether metrics of the host are shown to the guest.
  filesystems []any: File systems shared with the guest.
  gpus []any: Graphics processors of the host.
  hostDevices []any: Other devices of the host.
  inputs []any: Input devices.
  interfaces []Interface: The network interfaces.
  logSerialConsole boolean: Whether the serial console is logged by a container of its own.
  networkInterfaceMultiqueue boolean: Whether interfaces have several queues.
  panicDevices []any: Devices by which the guest tells of a panic.
  rng any: A source of random numbers.
  sound any: A sound device.
  tpm any: A trusted platform module.
  useVirtioTransitional boolean: Whether virtio devices are transitional.
  video any: The video device.
  watchdog any: A watchdog device.

io.kubevirt.Disk: A disk.
  blockSize any: The size of its blocks.
  bootOrder integer: Its place among what is booted from.
  cache string: none, writethrough or writeback.
  cdrom any: That it is a CD-ROM.
  changedBlockTracking boolean: Whether changed blocks are tracked.
  dedicatedIOThread boolean: Whether it has a thread of its own.
  disk DiskTarget: That it is a disk.
  errorPolicy string: What an error does.
  io string: native, threads or default.
  lun any: That it is a LUN.
  name string: The volume that it shows.
  serial string: Its serial number.
  shareable boolean: Whether it can be shared.
  tag string: A tag for the guest.

io.kubevirt.DiskTarget: A disk's device.
  bus string: virtio, sata, scsi or usb.
  pciAddress string: Where it is on the bus.
  readonly boolean: Whether it cannot be written to.

io.kubevirt.Interface: A network interface.
  acpiIndex integer: The number in the guest's name of it.
  binding PluginBinding: A binding plugin, by its registered name.
  bootOrder integer: Its place among what is booted from.
  bridge any: Binds it by a bridge.
  dhcpOptions any: Options of KubeVirt's DHCP server.
  macAddress string: Its MAC.
  macvtap any: Binds it by macvtap; gone since v1.3.
  masquerade any: Binds it behind NAT.
  model string: Its model; virtio by default.
  name string: The network that it is attached to.
  passt any: Binds it by passt; gone since v1.3.
  passtBinding any: Binds it by passt.
  pciAddress string: Where it is on the bus.
  ports []any: The ports that are forwarded.
  slirp any: Binds it by slirp; gone since v1.3.
  sriov any: Passes a virtual function of an SR-IOV device through.
  state string: up, down or absent.
  tag string: A tag for the guest.

io.kubevirt.PluginBinding: A binding plugin.
  name string: The name under which it is registered in the KubeVirt object.

io.kubevirt.Network: A network.
  multus MultusNetwork: A NetworkAttachmentDefinition.
  name string: The name by which interfaces refer to it.
  pod any: The pod network.

io.kubevirt.MultusNetwork: A network of Multus.
  default boolean: Whether it takes the place of the pod network.
  networkName string: The NetworkAttachmentDefinition, as NAME or NAMESPACE/NAME.

io.kubevirt.Volume: The content of a disk.
  cloudInitConfigDrive CloudInit: Data for cloud-init, as a config drive.
  cloudInitNoCloud CloudInit: Data for cloud-init, as a NoCloud disk.
  configMap any: A ConfigMap.
  containerDisk ContainerDisk: A container image that holds a disk.
  containerPath any: A path of a container.
  dataVolume any: A DataVolume.
  downwardAPI any: Fields of the VMI.
  downwardMetrics any: Metrics of the host.
  emptyDisk any: An empty disk.
  ephemeral any: A claim whose changes are thrown away.
  hostDisk any: A file of the node.
  memoryDump any: A memory dump.
  name string: The name by which disks refer to it.
  persistentVolumeClaim any: A claim.
  secret any: A Secret.
  serviceAccount any: A ServiceAccount's token.
  sysprep any: Answers for Windows' setup.

io.kubevirt.CloudInit: Data for cloud-init; 2,048 bytes of each at most.
  networkData string: The network configuration.
  networkDataBase64 string: The same, in base64.
  networkDataSecretRef V1LocalObjectReference: The Secret that holds it.
  secretRef V1LocalObjectReference: The Secret that holds the user data.
  userData string: The user data.
  userDataBase64 string: The same, in base64.

io.kubevirt.ContainerDisk: A container image that holds a disk.
  image string: The image, best by digest.
  imagePullPolicy string: Always, Never or IfNotPresent.
  imagePullSecret string: The Secret with the registry's credentials.
  path string: The file in the image.

io.kubevirt.VirtualMachineInstanceStatus: What KubeVirt knows of a virtual machine.
  activePods {}string: The pods that run it, and their nodes.
  conditions []any: Ready, Synchronized, PodScheduled, AgentConnected, LiveMigratable and the like.
  guestOSInfo any: What the guest agent says of the system.
  interfaces []VirtualMachineInstanceNetworkInterface: What is known of the interfaces.
  launcherContainerImageVersion string: The image of virt-launcher.
  migrationMethod string: BlockMigration or LiveMigration.
  migrationState any: The last migration.
  nodeName string: The node on which it runs.
  phase string: Pending, Scheduling, Scheduled, Running, Succeeded, Failed or Unknown.
  phaseTransitionTimestamps []any: When each phase began.
  qosClass string: The pod's class of service.
  reason string: Why it is in this phase.

io.kubevirt.VirtualMachineInstanceNetworkInterface: What is known of an interface.
  infoSource string: From whom: domain, guest-agent, multus-status.
  interfaceName string: The name that the guest gives it.
  ipAddress string: Its first address.
  ipAddresses []string: Its addresses.
  linkState string: up or down.
  mac string: Its MAC.
  name string: The network that it is attached to.
  podInterfaceName string: Its name in the pod.
  queueCount integer: Its queues.

io.kubevirt.VirtualMachineInstanceMigration: The live migration of a virtual machine to another node.
  apiVersion string: The version of this API.
  kind string: VirtualMachineInstanceMigration
  metadata V1ObjectMeta: Name, namespace, labels and the like.
  spec VirtualMachineInstanceMigrationSpec: Which virtual machine migrates, and where it may go. It cannot be changed.
  status VirtualMachineInstanceMigrationStatus: How far the migration is.

io.kubevirt.VirtualMachineInstanceMigrationSpec: Which virtual machine migrates, and where it may go.
  addedNodeSelector {}string: Labels that the destination must have, beside what the VMI itself asks for.
  priority string: The priority in the queue.
  receive any: The receiving half of a migration between clusters.
  sendTo any: The sending half of a migration between clusters.
  vmiName string: The VMI that migrates, in the migration's namespace.

io.kubevirt.VirtualMachineInstanceMigrationStatus: How far a migration is.
  conditions []any: Why it cannot go on.
  migrationState any: What became of it; empty before the final phase.
  phase string: Pending, Scheduling, Scheduled, PreparingTarget, TargetReady, Running, Succeeded or Failed.
  phaseTransitionTimestamps []any: When each phase began.
  synchronizationAddresses []string: The addresses of a migration between clusters.

io.kubevirt.KubeVirt: The installation of KubeVirt.
  apiVersion string: The version of this API.
  kind string: KubeVirt
  metadata V1ObjectMeta: Name, namespace, labels and the like.
  spec any: How KubeVirt is configured.
  status any: Versions and conditions.
"""
